"""Writing what is estimated of samples, batch by batch: each task writes chunks of its own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..stores.arrays import lay_out, put
from .elements import HELD, OWNER
from .ragged import Ragged, Slots
from .samples import Samples

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


def stored(samples: Samples, *, batch: int) -> dict[str, int]:
    """The sizes, along `sample` and ragged dims, of a store that is written so."""
    return {"sample": len(samples), **{dim: each.size for dim, each in _slots(samples, batch).items()}}


@dataclass(frozen=True, eq=False)
class Writer:
    """Writes estimates of `samples`, `batch` of them at once, to the group `url`; the first batch lays it out.

    Estimates of samples of unlike size lie in slots along their ragged dims, and are found by an index of their own.
    """

    url: str
    samples: Samples
    batch: int

    def put(self, estimate: xr.Dataset, number: int) -> None:
        """Write the estimates of a batch."""
        data = _samples_first(estimate.drop_vars(self._coordinates, errors="ignore"), self._slots)
        if number == 0:
            large = {str(name): self._chunks(array) for name, array in data.data_vars.items()}
            lay_out(self.url, self._whole(data), large=large)
        count = len(self.samples)
        at = slice(number * self.batch, min(count, (number + 1) * self.batch))
        for name, array in data.data_vars.items():
            regions = {"sample": at, **{dim: slots.region(number) for dim, slots in self._slots.items()}}
            region = tuple(regions.get(str(dim), slice(0, array.sizes[dim])) for dim in array.dims)
            put(self.url, str(name), region, _filled(array.values, [each.stop - each.start for each in region]))

    @cached_property
    def _slots(self) -> dict[str, Slots]:
        return _slots(self.samples, self.batch)

    @property
    def _coordinates(self) -> list[str]:
        return [f"{dim}{end}" for dim in self._slots for end in (OWNER, HELD)]

    def _chunks(self, array: xr.DataArray) -> tuple[int, ...]:
        own = {dim: slots.chunk for dim, slots in self._slots.items()}
        return tuple(own.get(str(dim), array.sizes[dim]) for dim in array.dims)

    def _whole(self, batch: xr.Dataset) -> xr.Dataset:
        """The layout of all batches, from the first."""
        import dask.array as da

        slots = {dim: each for dim, each in self._slots.items() if dim in batch.dims}
        if "sample" not in batch.dims and not slots:
            return batch
        sizes: Mapping[Any, int] = {**batch.sizes, **stored(self.samples, batch=self.batch)}
        large = {
            name: (array.dims, da.zeros([sizes[dim] for dim in array.dims], dtype=array.dtype), array.attrs)
            for name, array in batch.data_vars.items()
        }
        moving: set[Hashable] = {"sample", *slots}
        whole = batch.drop_vars([name for name, each in batch.variables.items() if moving & set(each.dims)])
        whole = whole.assign(large).assign_coords(self.samples.coordinates("truth"))
        return self._index(slots, tuple(map(str, batch.data_vars))).on(whole) if slots else whole

    def _index(self, slots: Mapping[str, Slots], names: tuple[str, ...]) -> Ragged:
        index, numbers = self.samples.index, self.samples.numbers
        assert isinstance(index, Ragged)
        counts = {dim: index.count[dim][numbers] for dim in slots}
        found = Ragged.over("sample", counts, inputs=(), truth=names)
        return found.at({dim: each.start for dim, each in slots.items()})


def _slots(samples: Samples, batch: int) -> dict[str, Slots]:
    index, numbers = samples.index, samples.numbers
    if not isinstance(index, Ragged):
        return {}
    return {dim: Slots.of(count[numbers], batch=batch) for dim, count in index.count.items()}


def _samples_first(estimate: xr.Dataset, slots: Mapping[str, Slots]) -> xr.Dataset:
    first = [dim for dim in ("sample", *slots) if dim in estimate.dims]
    return estimate.transpose(*first, ...) if first else estimate


def _filled(values: np.ndarray[Any, Any], sizes: list[int]) -> np.ndarray[Any, Any]:
    """The values of a slot: whole chunks, so that what was left in one by a task that was lost is never read."""
    import numpy as np

    if list(values.shape) == sizes:
        return values
    found = np.full(sizes, np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    found[tuple(slice(0, size) for size in values.shape)] = values
    return found
