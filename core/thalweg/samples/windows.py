"""Samples that are windows over a series: inputs, and the steps after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from .index import FORM, SPLITS, SampleIndex, Side, View, refuse_cut

if TYPE_CHECKING:
    import xarray as xr

    from .index import Ints

DIM = "window"
START, SERIES, SPLIT, FURTHER = "window_start", "window_series", "window_split", "window_further"


@dataclass(frozen=True, eq=False, kw_only=True)
class Windows(SampleIndex):
    """`inputs` steps of a series, `every` steps of the data apart, and the `targets` steps that follow them."""

    kind = "windows"

    dim: str
    inputs: int
    targets: int
    every: int = 1
    observe: tuple[str, ...] = ()
    """Fields that are inputs; all along `dim` if none is named."""
    predict: tuple[str, ...] = ()
    """Fields that are truth; all along `dim` if none is named."""
    further: Ints | None = None
    """1 for a window to train on only: it overlaps those that are scored."""
    counted: Mapping[str, int] | None = None
    """How long `dim` and `series` were when the windows were cut."""

    @property
    def variables(self) -> tuple[str, ...]:
        return START, SERIES, SPLIT, FURTHER

    @property
    def along(self) -> str:
        return DIM

    def view(self, side: Side) -> View:
        if side == "inputs":
            lead = tuple(range(1 - self.inputs, 1))
            return View(0, self.inputs, self.every, lead, (self.inputs - 1) * self.every)
        lead = tuple(range(1, self.targets + 1))
        return View(self.inputs * self.every, self.targets, self.every, lead, (self.inputs - 1) * self.every)

    def names(self, side: Side, data: xr.Dataset) -> tuple[str, ...]:
        moving = [str(name) for name, each in data.data_vars.items() if self.dim in each.dims]
        if side == "truth":
            return self.predict or tuple(moving)
        still = (str(n) for n, each in data.data_vars.items() if not {self.dim, DIM} & set(each.dims))
        return (*(self.observe or moving), *still)

    @property
    def form(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "dim": self.dim,
            "inputs": self.inputs,
            "targets": self.targets,
            "every": self.every,
            "series": self.series,
            "observe": list(self.observe),
            "predict": list(self.predict),
        }

    def on(self, data: xr.Dataset) -> xr.Dataset:
        index: dict[str, Any] = {START: _along(self.begin, f"first step along {self.dim}")}
        if self.series is not None:
            index[SERIES] = _along(self.row, f"position along {self.series}")
        if self.further is not None:
            index[FURTHER] = _along(self.further, "1: a window for training only")
        if self.label is not None:
            index[SPLIT] = (DIM, self.label.astype("int8"), labels())
        counted = dict(self.counted or {dim: data.sizes[dim] for dim in (self.dim, self.series) if dim})
        form = {**self.form, "counted": counted}
        return data.assign(index).assign_attrs({FORM: form})

    @classmethod
    def read(cls, data: xr.Dataset, form: dict[str, Any]) -> Self:
        """The index that `on` wrote. Raises `HandshakeError` if the steps were cut since."""
        import numpy as np

        dim, series, counted = str(form["dim"]), form.get("series"), form.get("counted")
        refuse_cut(counted or {}, data)
        begin = data[START].values.astype(np.int64)
        return cls(
            dim=dim,
            series=series,
            begin=begin,
            row=data[SERIES].values.astype(np.int64) if series else np.zeros_like(begin),
            label=data[SPLIT].values.astype(np.int64) if SPLIT in data else None,
            inputs=int(form["inputs"]),
            targets=int(form["targets"]),
            every=int(form.get("every", 1)),
            observe=tuple(form.get("observe") or ()),
            predict=tuple(form.get("predict") or ()),
            further=data[FURTHER].values if FURTHER in data else None,
            counted=counted,
        )


def labels() -> dict[str, Any]:
    """CF attributes of a variable of labels."""
    return {"flag_values": list(range(len(SPLITS))), "flag_meanings": " ".join(SPLITS), "units": "1"}


def _along(values: Ints, long_name: str) -> tuple[str, Any, dict[str, str]]:
    return DIM, values.astype("int64"), {"long_name": long_name, "units": "1"}
