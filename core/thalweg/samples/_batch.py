"""Reading one side of many samples at once: each stretch of steps once, by basic slices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ._rows import Elements, gathered
from .index import SampleIndex, Side, View
from .ragged import Ragged

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Batch:
    """Where the samples of a batch lie: steps `begin .. begin + (length - 1) * every` along `dim`, of series `rows`."""

    data: xr.Dataset
    index: SampleIndex
    numbers: np.ndarray[Any, Any]
    names: tuple[str, ...]
    begin: np.ndarray[Any, Any]
    """The first step of this side of each sample."""
    rows: np.ndarray[Any, Any]
    view: View

    @classmethod
    def of(cls, data: xr.Dataset, index: SampleIndex, numbers: np.ndarray[Any, Any], *, side: Side) -> Batch:
        """One side of the samples with these numbers."""
        view = index.view(side)
        begin = index.begin[numbers] + view.first
        return cls(data, index, numbers, index.names(side, data), begin, index.row[numbers], view)

    @property
    def dim(self) -> str | None:
        return self.index.dim

    @property
    def series(self) -> str | None:
        return self.index.series

    @property
    def lead(self) -> tuple[int, ...] | None:
        return self.view.lead

    def dataset(self, *, read: bool) -> xr.Dataset:
        """The batch in memory; shapes and dtypes only, over empty memory, if not `read`."""
        import xarray as xr

        variables = {name: self.data[name].variable for name in self.names}
        moving = {name: each for name, each in variables.items() if self.dim in each.dims}
        in_rows = {name: each for name, each in variables.items() if self.elements.keys() & set(each.dims)}
        fields = self._gathered(moving) if read else {name: self._layout(each) for name, each in moving.items()}
        fields |= gathered(in_rows, self.elements) if read else {n: self._row(each) for n, each in in_rows.items()}
        for name in variables.keys() - fields.keys():
            still = self._of_series(variables[name])
            fields[name] = still.load() if read else still
        return xr.Dataset({name: fields[name] for name in self.names}, self._coordinates(in_rows.values()))

    @cached_property
    def elements(self) -> dict[str, Elements]:
        """What these samples have along each ragged dim."""
        return Elements.of(self.index, self.numbers) if isinstance(self.index, Ragged) else {}

    def _row(self, array: xr.Variable) -> xr.Variable:
        return next(each for dim, each in self.elements.items() if dim in array.dims).layout(array)

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
        offsets = np.arange(self.view.length) * self.view.every
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
        extent = self.view.extent
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
        sizes = {**array.sizes, "sample": len(self.begin), "lead": self.view.length}
        empty = np.broadcast_to(np.zeros((), dtype=array.dtype), [sizes[dim] for dim in dims])
        return xr.Variable(dims, empty, array.attrs)

    def _of_series(self, array: xr.Variable) -> xr.Variable:
        """A variable without steps; one value per sample where it has one per series."""
        import xarray as xr

        if self.series is None or self.series not in array.dims:
            return array
        chosen = array.transpose(self.series, ...)[self.rows]
        return xr.Variable(("sample", *chosen.dims[1:]), chosen.data, array.attrs)

    def _coordinates(self, in_rows: Iterable[xr.Variable]) -> dict[str, Any]:
        import numpy as np

        ragged = {dim: each for dim, each in self.elements.items() if any(dim in one.dims for one in in_rows)}
        coords: dict[str, Any] = {name: each for own in ragged.values() for name, each in own.coordinates.items()}
        for key, each in self.data.coords.items():
            name = str(key)
            if self.elements.keys() & set(each.dims):
                if ragged.keys() & set(each.dims):
                    coords |= gathered({name: each.variable}, ragged)
            elif self.lead is None and self.dim in each.dims:
                if each.ndim == 1:
                    coords["sample" if name == self.dim else name] = ("sample", each.values[self.numbers], each.attrs)
            elif each.dims == (self.index.along,):
                if name != self.index.along:
                    coords[name] = ("sample", each.values[self.numbers], each.attrs)
            elif self.dim not in each.dims and self.index.along not in each.dims:
                coords[name] = self._of_series(each.variable)
        if self.lead is None:
            return coords
        coords["lead"] = ("lead", list(self.lead), {"long_name": "steps after the last input"})
        if self.dim in self.data.coords:
            axis, attrs = self.data[self.dim].values, dict(self.data[self.dim].attrs)
            coords["reference_time"] = ("sample", axis[self.index.begin[self.numbers] + self.view.reference], attrs)
            steps = self.begin[:, None] + np.arange(self.view.length) * self.view.every
            coords["valid_time"] = (("sample", "lead"), axis[steps], attrs)
        return coords
