"""The samples of one split of a preprocessed dataset: what a method learns from and is scored on, by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..components.grid import grid_of
from ..components.signature import Signature
from ..errors import HandshakeError
from ._batch import Batch
from .elements import HELD
from .index import SampleIndex, Side, Split
from .kinds import fields_of, index_of
from .ragged import Ragged

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Samples:
    """The pairs of one split of a preprocessed dataset, in the order of the index.

    `data` is lazy (zarr- or dask-backed); what is read is what is returned, each step of a series once.
    """

    data: xr.Dataset
    numbers: np.ndarray[Any, Any]
    index: SampleIndex

    @classmethod
    def of(cls, data: xr.Dataset, split: Split | None = None) -> Samples:
        """The samples of `split` (all of them if None, or if the data were never split).

        Raises `HandshakeError` if `data` was never cut into samples.
        """
        index = index_of(data)
        return cls(data, index.numbers(split), index)

    def __len__(self) -> int:
        return len(self.numbers)

    def first(self, count: int) -> Samples:
        """The first `count` of these samples."""
        return replace(self, numbers=self.numbers[:count])

    @property
    def wanted(self) -> Signature:
        """What an estimate must hold: the truth's fields, with the sizes of one batch of all samples.

        Of a ragged dim the size is the largest of a sample; `sizes` has that of a batch.
        """
        return self._signature("truth")

    @property
    def given(self) -> Signature:
        """What a method is given: the inputs' fields and the static ones."""
        return self._signature("inputs")

    def sizes(self, at: slice | Sequence[int]) -> dict[str, int]:
        """How many samples lie at these positions, and how many elements they have along each ragged dim."""
        numbers = self._numbers(at)
        elements = self.index.count if isinstance(self.index, Ragged) else {}
        return {"sample": len(numbers), **{dim: int(each[numbers].sum()) for dim, each in elements.items()}}

    def inputs(self, at: slice | Sequence[int]) -> xr.Dataset:
        """Inputs of the samples at these positions, in memory."""
        return self._read(at, "inputs")

    def truth(self, at: slice | Sequence[int]) -> xr.Dataset:
        """Truth of the samples at these positions, in memory."""
        return self._read(at, "truth")

    def filled(self, at: Sequence[int], arrays: Mapping[str, Any], *, side: Side) -> xr.Dataset:
        """One side of the samples at these positions, of arrays that were read already; reads only coordinates."""
        found = Batch.of(self.data, self.index, self._numbers(at), side=side).dataset(read=False)
        return found.assign({name: found[name].copy(data=each) for name, each in arrays.items() if name in found})

    def coordinates(self, side: Side) -> dict[str, xr.DataArray]:
        """The coordinates that all these samples have along `sample`; reads no field."""
        found = Batch.of(self.data, self.index, self.numbers, side=side).dataset(read=False).coords
        # How many elements a sample has says nothing of which sample it is.
        counts = {f"{dim}{HELD}" for dim in self.index.ragged}
        return {str(name): each for name, each in found.items() if "sample" in each.dims and name not in counts}

    @property
    def grid(self) -> xr.Dataset:
        """One sample of the estimate: dims, coordinates and units of its fields, and static fields with their values.

        Reads no other field, and has no mask: cells may be missing in one sample and not in another.
        """
        one = Batch.of(self.data, self.index, self.numbers[:1], side="truth").dataset(read=False)
        return grid_of(one, self.still.load())

    @property
    def still(self) -> xr.Dataset:
        """The static fields, lazy: what lies along no step, no series and no elements."""
        moving = {self.index.dim, self.index.series, self.index.along, *self.index.ragged}
        fields = fields_of(self.data)
        return fields[
            [name for name, each in fields.data_vars.items() if self.index.dim and not moving & set(each.dims)]
        ]

    @property
    def common_coordinates(self) -> xr.Dataset:
        """The coordinates of the inputs that are the same for all samples; reads no field."""
        one = Batch.of(self.data, self.index, self.numbers[:1], side="inputs").dataset(read=False)
        moving = {"sample", "lead", *self.index.ragged}
        own = [name for name, each in one.variables.items() if moving & set(each.dims)]
        return one.drop_vars([*own, *(name for name in one.data_vars if name not in own)]).load()

    def _signature(self, side: Side) -> Signature:
        if not len(self):
            raise HandshakeError(
                "a split holds no samples",
                allowed="at least one window inside each period",
                advice="widen the period in `split`, or shorten the windows",
            )
        first = Batch.of(self.data, self.index, self.numbers[:1], side=side)
        one = Signature.of(first.dataset(read=False))
        known = {"sample": len(self)}
        if isinstance(self.index, Ragged):
            known |= {dim: int(each[self.numbers].max()) for dim, each in self.index.count.items()}
        return Signature(one.fields, {dim: known.get(dim, size) for dim, size in one.sizes.items()})

    def _numbers(self, at: slice | Sequence[int]) -> np.ndarray[Any, Any]:
        import numpy as np

        found: np.ndarray[Any, Any] = self.numbers[at if isinstance(at, slice) else np.asarray(at, dtype=np.int64)]
        return found

    def _read(self, at: slice | Sequence[int], side: Side) -> xr.Dataset:
        return Batch.of(self.data, self.index, self._numbers(at), side=side).dataset(read=True)

    def runs(self, name: str) -> Iterator[xr.DataArray]:
        """The values of a field along each unbroken track of these samples, in memory, in order.

        From one step of a track to the next is one lead (`every` steps of the data): what a dynamical model learns.
        """
        index, field = self.index, self.data[name]
        for row, tracks in groupby(index.tracks(self.numbers), key=lambda track: track.row):
            own = list(tracks)
            low, high = min(each.start for each in own), max(each.stop for each in own)
            # One basic slice of the store for all tracks of a row.
            one = field.isel({index.series: row}) if index.series in field.dims else field
            steps = one.isel({str(index.dim): slice(low, high)}).load()
            for each in own:
                yield steps.isel({str(index.dim): slice(each.start - low, each.stop - low, each.every)})


def shared_steps(data: xr.Dataset, first: Split, second: Split) -> int:
    """How many steps of the series lie in samples of both splits; 0 for pairs, which share nothing."""
    index = index_of(data)
    if index.label is None or index.view("truth").lead is None:
        return 0
    covered = [index.covered(index.numbers(split), data) for split in (first, second)]
    return int((covered[0] & covered[1]).sum())
