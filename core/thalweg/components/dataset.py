"""A part that reads a source lazily."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from .component import Component

if TYPE_CHECKING:
    import xarray as xr


class Dataset(Component):
    """A data source, read lazily into an `xarray.Dataset`."""

    @abstractmethod
    def open(self) -> xr.Dataset:
        """All of the source, dask-backed, with CF names and units; reads no values in bulk.

        The dask chunks become the chunks of the store. Raises `SourceError`.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A text that changes when the source does. Raises `SourceError`."""
