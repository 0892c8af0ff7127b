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


def open_fields(ingest: str, preprocess: str, *, dask: bool = False) -> xr.Dataset:
    """The fields that preprocess wrote, and those that it left in the store of ingest."""
    own = read(preprocess, dask=dask)
    kept = own.attrs.get("kept") or []
    # Without the raw coordinates: a transform may have added to them, never moved them under an unchanged field.
    return own.assign(read(ingest, dask=dask)[kept].reset_coords(drop=True).data_vars) if kept else own


@dataclass(frozen=True)
class Prepared:
    """A preprocessed dataset that any process can open: fields, and beside them the index of their samples."""

    ingest: str
    """What preprocess left as it was."""
    preprocess: str
    """The other fields, and the small variables of all."""
    index: str

    def open(self, *, dask: bool = False) -> xr.Dataset:
        """The fields with the index of their samples, lazily."""
        return placed(self.index, open_fields(self.ingest, self.preprocess, dask=dask))

    def samples(self, split: Split) -> Samples:
        """The samples of a split."""
        return _samples(self, split)

    @property
    def shown(self) -> Samples:
        """Samples that say what a method is given: those of test, or of train where nothing is tested."""
        test = self.samples("test")
        return test if len(test) else self.samples("train")


@lru_cache(maxsize=8)
def _samples(prepared: Prepared, split: Split) -> Samples:
    return Samples.of(prepared.open(), split)
