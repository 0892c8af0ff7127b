"""Samples without truth: inputs that end at the newest steps with values, and the times of the leads after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import HandshakeError
from .calendar import Step, is_time
from .kinds import kind_of
from .pairs import Pairs
from .ragged import Ragged
from .samples import Samples
from .windows import Windows

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    Ints = np.ndarray[Any, np.dtype[np.int64]]

PIECE = 32
"""Steps that are read at once in the search for the newest with values."""


@dataclass(frozen=True, eq=False)
class Origins:
    """Where a forecast begins: the newest steps of a series that have values. Nothing after them is read."""

    samples: Samples
    step: Step | None

    @classmethod
    def newest(
        cls, data: xr.Dataset, form: Mapping[str, Any], *, observed: Sequence[str], step: Step | None, count: int
    ) -> Origins:
        """The `count` newest origins of each series. `form` says how the samples of the training were cut.

        A step counts if each observed field has a value there. Raises `HandshakeError` for data without enough steps,
        or with a gap in the inputs.
        """
        if kind_of(form) is Ragged:
            raise HandshakeError(
                "samples of unlike size have no newest step",
                allowed="windows over a series",
                advice="solve for them: `thalweg.load(url).solve(inputs)`",
            )
        if kind_of(form) is Pairs:
            return cls._of_pairs(data, form, observed=observed, count=count)
        import numpy as np

        dim, series, inputs, every = str(form["dim"]), form.get("series"), int(form["inputs"]), int(form["every"])
        moving = tuple(name for name in observed if dim in data[name].dims)
        extent = (inputs - 1) * every
        data = last_source(data, dim)
        if dim in data.coords:
            step = Step.of(data[dim]) if data.sizes[dim] > 2 or step is None else step
        begin: list[int] = []
        row: list[int] = []
        for number in range(data.sizes[series] if series else 1):
            one = data[list(moving)].isel({series: number}) if series else data[list(moving)]
            last = _with_values(one, dim, least=extent, count=count)
            begin += [each - extent for each in last]
            row += [number] * len(last)
        if dim in data.coords and step is not None:
            _refuse_gaps(data[dim], begin, extent, step)
        index = Windows(
            dim=dim,
            series=series,
            begin=np.array(begin, dtype=np.int64),
            row=np.array(row, dtype=np.int64),
            inputs=inputs,
            targets=int(form["targets"]),
            every=every,
            observe=moving,
        )
        return cls(Samples(data, index.numbers(), index), step)

    @classmethod
    def _of_pairs(cls, data: xr.Dataset, form: Mapping[str, Any], *, observed: Sequence[str], count: int) -> Origins:
        import numpy as np

        dim = form.get("dim")
        if dim is None:
            raise HandshakeError(
                "the data as a whole are one sample, which has no newest step",
                allowed="samples along a dim",
                advice="solve it by `thalweg.load(...).solve(inputs)`",
            )
        names = [name for name in observed if dim in data[name].dims]
        numbers = _with_values(data[names], str(dim), least=0, count=count)
        index = Pairs.over(str(dim), data.sizes[dim], inputs=tuple(observed), truth=())
        return cls(Samples(data, np.array(numbers, dtype=np.int64), index), None)

    def inputs(self) -> xr.Dataset:
        """Inputs of all origins, in memory."""
        return self.samples.inputs(slice(None))

    def coordinates(self, inputs: xr.Dataset) -> dict[str, Any]:
        """Of the estimate: `lead`, `reference_time` and `valid_time(sample, lead)`; of pairs, `valid_time(sample)`."""
        import numpy as np

        index = self.samples.index
        if not isinstance(index, Windows):
            dated = "sample" in inputs.coords and is_time(inputs["sample"].values)
            return {"valid_time": ("sample", inputs["sample"].values)} if dated else {}
        leads = range(1, index.targets + 1)
        found: dict[str, Any] = {"lead": ("lead", list(leads), {"long_name": "steps after the last input"})}
        if "reference_time" in inputs.coords and self.step is not None:
            known = inputs["reference_time"]
            valid = np.empty((known.size, index.targets), dtype=known.dtype)
            for number, value in enumerate(known.values):
                for lead in leads:
                    valid[number, lead - 1] = self.step.after(value, lead * index.every)
            found["reference_time"] = ("sample", known.values, known.attrs)
            found["valid_time"] = (("sample", "lead"), valid, known.attrs)
        return found


def last_source(data: xr.Dataset, dim: str) -> xr.Dataset:
    """The steps of the last of several sources (CF's `instance_dimension`), where a forecast begins."""
    import numpy as np

    first = 0
    for each in data.coords.values():
        if each.dims == (dim,) and "instance_dimension" in each.attrs:
            values = each.values
            first = max(first, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), 0)
    return data.isel({dim: slice(first, None)}) if first else data


def _with_values(data: xr.Dataset, dim: str, *, least: int, count: int) -> list[int]:
    """The last `count` steps from `least` on at which each field has a value, in order. Raises `HandshakeError`."""
    names = [name for name, each in data.data_vars.items() if each.dtype.kind == "f"]
    size, found = _length(data, dim), list[int]()
    stop = size
    while stop > least and len(found) < count:
        start = max(least, stop - PIECE)
        piece = data[names].isel({dim: slice(start, stop)})
        there = [
            each.notnull().any([other for other in each.dims if other != dim]) for each in piece.data_vars.values()
        ]
        full = [True] * (stop - start)
        for each in there:
            full = [one and bool(other) for one, other in zip(full, each.values, strict=True)]
        found += [start + i for i in reversed(range(stop - start)) if full[i]]
        stop = start
    if len(found) < count:
        raise HandshakeError(
            f"{count} origins were asked for, and {len(found)} steps with values have enough steps before them",
            allowed=f"at least {least + count} steps along {dim!r}, the newest with values",
            advice="give data that go further back, or ask for fewer origins",
        )
    return sorted(found[:count])


def _length(data: xr.Dataset, dim: str) -> int:
    """Steps of a series, which may be shorter than its dim (CF's `sample_dimension`)."""
    counts = [int(each.min()) for each in data.coords.values() if each.attrs.get("sample_dimension") == dim]
    return min([data.sizes[dim], *counts])


def _refuse_gaps(axis: xr.DataArray, begin: Sequence[int], extent: int, step: Step) -> None:
    for first in begin:
        inside = axis.isel({axis.dims[0]: slice(first, first + extent + 1)})
        regular = step.regular(inside)
        if not regular.all():
            at = int((~regular).argmax())
            raise HandshakeError(
                f"the inputs of a forecast have a gap, from {inside.values[at]} to {inside.values[at + 1]}",
                allowed=f"steps of {step.size:g} {step.kind}" if step.kind != "number" else f"steps of {step.size:g}",
                advice="give data without it",
            )
