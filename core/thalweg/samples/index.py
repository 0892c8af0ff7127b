"""What a method learns from and is scored on: pairs of inputs and truth, by number.

A preprocessed dataset is a set of fields and an *index*: small variables along `window` that say where each pair lies.
Nothing is cut out or copied; a pair is read when it is asked for.

    windows   inputs  field(sample, lead = 1-inputs .. 0, ...)     truth  field(sample, lead = 1 .. targets, ...)
    pairs     inputs and truth are different variables of one `sample` dim, or of the dataset as a whole

`reference_time(sample)` is the coordinate of the last input step, `valid_time(sample, lead)` that of every step.
`attrs["samples"]` says how to read the index:

    windows   dim, inputs, targets; every (1), the steps from one lead to the next; series, the dim of `window_series`;
              observe and predict, the fields that are inputs and truth (all along dim)
    pairs     dim (None: the dataset as a whole), inputs, truth: names of variables
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..components.signature import Signature
from ..errors import HandshakeError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

Split = Literal["train", "validate", "test"]

SPLITS: tuple[Split, ...] = ("train", "validate", "test")
"""Their positions are the labels in `window_split`; -1 is none of them."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The pairs of one split of a preprocessed dataset, in the order of the index.

    `data` is lazy (zarr- or dask-backed); what is read is what is returned, each step of a series once.
    """

    data: xr.Dataset
    numbers: np.ndarray[Any, Any]
    spec: dict[str, Any]

    @classmethod
    def of(cls, data: xr.Dataset, split: Split | None = None) -> Samples:
        """The samples of `split` (all of them if None, or if the data were never split).

        Raises `HandshakeError` if `data` was never cut into samples.
        """
        import numpy as np

        spec = data.attrs.get("samples")
        if not isinstance(spec, dict):
            raise HandshakeError(
                "the preprocessed data has no samples",
                allowed="data with an index of samples",
                advice="add a `windows` transform to preprocess, or a dataset that declares its pairs",
            )
        label = data.get("window_split")
        total = data.sizes.get("window", data.sizes.get(spec.get("dim") or "", 1))
        if split is None or label is None:
            return cls(data, np.arange(total), spec)
        return cls(data, np.flatnonzero(label.values == SPLITS.index(split)), spec)

    def __len__(self) -> int:
        return len(self.numbers)

    def first(self, count: int) -> Samples:
        """The first `count` of these samples."""
        return Samples(self.data, self.numbers[:count], self.spec)

    @property
    def wanted(self) -> Signature:
        """What an estimate must hold: the truth's fields, with the sizes of one batch of all samples."""
        return self._signature(truth=True)

    @property
    def given(self) -> Signature:
        """What a method is given: the inputs' fields and the static ones."""
        return self._signature(truth=False)

    def inputs(self, at: slice | Sequence[int]) -> xr.Dataset:
        """Inputs of the samples at these positions, in memory."""
        return self._read(at, truth=False)

    def truth(self, at: slice | Sequence[int]) -> xr.Dataset:
        """Truth of the samples at these positions, in memory."""
        return self._read(at, truth=True)

    def coordinates(self, *, truth: bool) -> dict[str, xr.DataArray]:
        """The coordinates that all these samples have along `sample`; reads no field."""
        found = _Batch.of(self, self.numbers, truth=truth).dataset(read=False).coords
        return {str(name): each for name, each in found.items() if "sample" in each.dims}

    def _signature(self, *, truth: bool) -> Signature:
        if not len(self):
            raise HandshakeError(
                "a split holds no samples",
                allowed="at least one window inside each period",
                advice="widen the period in `split`, or shorten the windows",
            )
        one = Signature.of(_Batch.of(self, self.numbers[:1], truth=truth).dataset(read=False))
        return Signature(one.fields, {dim: len(self) if dim == "sample" else size for dim, size in one.sizes.items()})

    def _read(self, at: slice | Sequence[int], *, truth: bool) -> xr.Dataset:
        import numpy as np

        numbers = self.numbers[at if isinstance(at, slice) else np.asarray(at, dtype=np.int64)]
        return _Batch.of(self, numbers, truth=truth).dataset(read=True)


def shared_steps(data: xr.Dataset, first: Split, second: Split) -> int:
    """How many steps of the series lie in windows of both splits; 0 for pairs, which share nothing."""
    import numpy as np

    spec = data.attrs.get("samples") or {}
    if spec.get("kind") != "windows":
        return 0
    size, series = data.sizes[spec["dim"]], spec.get("series")
    extent = (int(spec["inputs"]) + int(spec["targets"]) - 1) * int(spec.get("every", 1)) + 1
    covered = []
    for split in (first, second):
        numbers = Samples.of(data, split).numbers
        begin = data["window_start"].values[numbers]
        rows = data["window_series"].values[numbers] if series else np.zeros_like(begin)
        # +1 where a window begins, -1 after it ends: positive sums are covered steps.
        edges = np.zeros((data.sizes[series] if series else 1, size + 1), dtype=np.int64)
        np.add.at(edges, (rows, begin), 1)
        np.add.at(edges, (rows, begin + extent), -1)
        covered.append(edges.cumsum(axis=1)[:, :size] > 0)
    return int((covered[0] & covered[1]).sum())


@dataclass(frozen=True, eq=False)
class _Batch:
    """Where the samples of a batch lie: steps `begin .. begin + (length - 1) * every` along `dim`, of series `rows`."""

    data: xr.Dataset
    numbers: np.ndarray[Any, Any]
    names: tuple[str, ...]
    dim: str | None
    series: str | None
    begin: np.ndarray[Any, Any]
    rows: np.ndarray[Any, Any]
    lead: np.ndarray[Any, Any] | None
    every: int
    reference: int
    """Steps from `begin` to the last input."""

    @classmethod
    def of(cls, samples: Samples, numbers: np.ndarray[Any, Any], *, truth: bool) -> _Batch:
        import numpy as np

        data, spec = samples.data, samples.spec
        dim, none = spec.get("dim"), np.zeros(len(numbers), dtype=np.int64)
        if spec["kind"] == "pairs":
            names = tuple(spec["truth" if truth else "inputs"])
            return cls(data, numbers, names, dim, None, numbers, none, None, 1, 0)
        every, series = int(spec.get("every", 1)), spec.get("series")
        inputs, targets = int(spec["inputs"]), int(spec["targets"])
        moving = [str(name) for name, each in data.data_vars.items() if dim in each.dims]
        names = tuple(spec.get("predict" if truth else "observe") or moving)
        if not truth:
            names += tuple(str(n) for n, each in data.data_vars.items() if not {dim, "window"} & set(each.dims))
        begin = data["window_start"].values[numbers] + (inputs * every if truth else 0)
        rows = data["window_series"].values[numbers] if series else none
        lead = np.arange(1, targets + 1) if truth else np.arange(1 - inputs, 1)
        return cls(
            data, numbers, names, dim, series, begin, rows, lead, every, -every if truth else (inputs - 1) * every
        )

    @property
    def length(self) -> int:
        return 1 if self.lead is None else len(self.lead)

    def dataset(self, *, read: bool) -> xr.Dataset:
        """The batch in memory; shapes and dtypes only, over empty memory, if not `read`."""
        import xarray as xr

        variables = {name: self.data[name].variable for name in self.names}
        moving = {name: each for name, each in variables.items() if self.dim in each.dims}
        fields = self._gathered(moving) if read else {name: self._layout(each) for name, each in moving.items()}
        for name in variables.keys() - moving.keys():
            still = self._of_series(variables[name])
            fields[name] = still.load() if read else still
        return xr.Dataset({name: fields[name] for name in self.names}, self._coordinates())

    def _gathered(self, variables: dict[str, xr.Variable]) -> dict[str, xr.Variable]:
        import numpy as np

        runs = list(self._runs())
        parts = [
            array.isel({self.dim: slice(low, high), **({self.series: row} if self.series in array.dims else {})})
            for array in variables.values()
            for row, low, high, _ in runs
        ]
        if any(each.chunks is not None for each in parts):
            from dask.base import compute

            # At once, so that fields made from the same chunks read them once.
            parts = list(compute(*parts))
        offsets = np.arange(self.length) * self.every
        gathered = {}
        for i, (name, array) in enumerate(variables.items()):
            layout = self._layout(array)
            values = np.empty(layout.shape, dtype=array.dtype)
            for (_, low, _, members), part in zip(runs, parts[i * len(runs) :], strict=False):
                steps = part.transpose(self.dim, ...).values
                at = self.begin[members] - low
                values[members] = steps[at] if self.lead is None else steps[at[:, None] + offsets]
            gathered[name] = layout.copy(data=values)
        return gathered

    def _runs(self) -> Iterator[tuple[int, int, int, np.ndarray[Any, Any]]]:
        """Stretches of steps that the batch covers without a break: `(row, low, high, members)`.

        A stretch is read by one basic slice (fancy indexing of zarr is slow) and cut up in memory; windows that
        overlap share it, and nothing outside the windows is read.
        """
        import numpy as np

        if not len(self.begin):
            return
        extent = (self.length - 1) * self.every + 1
        order = np.lexsort((self.begin, self.rows))
        begin, rows = self.begin[order], self.rows[order]
        apart = (rows[1:] != rows[:-1]) | (begin[1:] > begin[:-1] + extent)
        for members in np.split(order, np.flatnonzero(apart) + 1):
            yield (
                int(self.rows[members[0]]),
                int(self.begin[members[0]]),
                int(self.begin[members[-1]]) + extent,
                members,
            )

    def _layout(self, array: xr.Variable) -> xr.Variable:
        import numpy as np
        import xarray as xr

        others = [dim for dim in array.dims if dim not in (self.dim, self.series)]
        dims = ("sample", *(() if self.lead is None else ("lead",)), *others)
        sizes = {**array.sizes, "sample": len(self.begin), "lead": self.length}
        empty = np.broadcast_to(np.zeros((), dtype=array.dtype), [sizes[dim] for dim in dims])
        return xr.Variable(dims, empty, array.attrs)

    def _of_series(self, array: xr.Variable) -> xr.Variable:
        """A variable without steps; one value per sample where it has one per series."""
        import xarray as xr

        if self.series is None or self.series not in array.dims:
            return array
        chosen = array.transpose(self.series, ...)[self.rows]
        return xr.Variable(("sample", *chosen.dims[1:]), chosen.data, array.attrs)

    def _coordinates(self) -> dict[str, Any]:
        import numpy as np

        coords: dict[str, Any] = {}
        for key, each in self.data.coords.items():
            name = str(key)
            if self.lead is None and self.dim in each.dims:
                if each.ndim == 1:
                    coords["sample" if name == self.dim else name] = ("sample", each.values[self.numbers], each.attrs)
            elif each.dims == ("window",):
                if name != "window":
                    coords[name] = ("sample", each.values[self.numbers], each.attrs)
            elif self.dim not in each.dims and "window" not in each.dims:
                coords[name] = self._of_series(each.variable)
        if self.lead is None:
            return coords
        coords["lead"] = ("lead", self.lead, {"long_name": "steps after the last input"})
        if self.dim in self.data.coords:
            axis, attrs = self.data[self.dim].values, dict(self.data[self.dim].attrs)
            coords["reference_time"] = ("sample", axis[self.begin + self.reference], attrs)
            steps = self.begin[:, None] + np.arange(self.length) * self.every
            coords["valid_time"] = (("sample", "lead"), axis[steps], attrs)
        return coords
