"""Samples whose inputs and truth are different variables of one dim, or of the dataset as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from .index import FORM, SampleIndex, Side, View
from .windows import labels

if TYPE_CHECKING:
    import xarray as xr

    from .index import Ints

SPLIT = "pair_split"


@dataclass(frozen=True, eq=False, kw_only=True)
class Positions(SampleIndex):
    """One position along `dim` is one sample, whose inputs and truth are different variables."""

    inputs: tuple[str, ...]
    truth: tuple[str, ...]

    @property
    def along(self) -> str | None:
        return self.dim

    @property
    def unit(self) -> str | None:
        return self.dim

    def view(self, side: Side) -> View:  # noqa: ARG002
        return View()

    def names(self, side: Side, data: xr.Dataset) -> tuple[str, ...]:  # noqa: ARG002
        return self.inputs if side == "inputs" else self.truth

    def apart(self, numbers: Ints) -> Ints:
        import numpy as np

        return np.arange(len(numbers))


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs(Positions):
    """One position along `dim` is one sample. Labels lie along `dim` too, so that cutting it cuts them."""

    kind = "pairs"

    @classmethod
    def over(cls, dim: str | None, count: int, *, inputs: tuple[str, ...], truth: tuple[str, ...]) -> Self:
        """The pairs of a dim of `count` positions; with `dim` None the dataset as a whole is one pair."""
        import numpy as np

        return cls(dim=dim, begin=np.arange(count), row=np.zeros(count, dtype=np.int64), inputs=inputs, truth=truth)

    @property
    def variables(self) -> tuple[str, ...]:
        return (SPLIT,)

    @property
    def form(self) -> dict[str, Any]:
        return {"kind": self.kind, "dim": self.dim, "inputs": list(self.inputs), "truth": list(self.truth)}

    def on(self, data: xr.Dataset) -> xr.Dataset:
        index = {} if self.label is None else {SPLIT: (self.dim or "pair", self.label.astype("int8"), labels())}
        return data.assign(index).assign_attrs({FORM: self.form})

    @classmethod
    def read(cls, data: xr.Dataset, form: dict[str, Any]) -> Self:
        """The index that `on` wrote."""
        import numpy as np

        dim = form.get("dim")
        count = data.sizes[dim] if dim is not None else 1
        return cls(
            dim=dim,
            begin=np.arange(count),
            row=np.zeros(count, dtype=np.int64),
            label=data[SPLIT].values.astype(np.int64) if SPLIT in data else None,
            inputs=tuple(form.get("inputs") or ()),
            truth=tuple(form.get("truth") or ()),
        )
