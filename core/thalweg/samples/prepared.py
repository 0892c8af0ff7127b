"""A preprocessed dataset by the URLs of its stores: what travels to the workers instead of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..stores.arrays import read
from .index import Split
from .samples import Samples

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Prepared:
    """A preprocessed dataset that any process can open: what preprocess wrote, and what it left in the ingest store."""

    ingest: str
    preprocess: str

    def open(self, *, dask: bool = False) -> xr.Dataset:
        own = read(self.preprocess, dask=dask)
        kept = own.attrs.get("kept") or []
        # Without the raw coordinates: a transform may have added to them, never moved them under an unchanged field.
        return own.assign(read(self.ingest, dask=dask)[kept].reset_coords(drop=True).data_vars) if kept else own

    def samples(self, split: Split) -> Samples:
        """The samples of a split."""
        return _samples(self, split)


@lru_cache(maxsize=8)
def _samples(prepared: Prepared, split: Split) -> Samples:
    return Samples.of(prepared.open(), split)
