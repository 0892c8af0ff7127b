"""A preprocessed dataset by the URLs of its stores: what travels to the workers instead of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..stores.arrays import read
from .index import Split
from .placed import placed
from .samples import Samples

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Prepared:
    """A preprocessed dataset that any process can open: fields, and beside them the index of their samples."""

    ingest: str
    """What preprocess left as it was."""
    preprocess: str
    """The other fields, and the small variables of all."""
    index: str

    def fields(self, *, dask: bool = False) -> xr.Dataset:
        """The fields, without the index that index transforms made."""
        own = read(self.preprocess, dask=dask)
        kept = own.attrs.get("kept") or []
        # Without the raw coordinates: a transform may have added to them, never moved them under an unchanged field.
        return own.assign(read(self.ingest, dask=dask)[kept].reset_coords(drop=True).data_vars) if kept else own

    def open(self, *, dask: bool = False) -> xr.Dataset:
        """The fields with the index of their samples, lazily."""
        return placed(self.index, self.fields(dask=dask))

    def samples(self, split: Split) -> Samples:
        """The samples of a split."""
        return _samples(self, split)


@lru_cache(maxsize=8)
def _samples(prepared: Prepared, split: Split) -> Samples:
    return Samples.of(prepared.open(), split)
