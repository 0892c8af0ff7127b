"""A part that turns a dataset into another, lazily."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from .component import Component

if TYPE_CHECKING:
    import xarray as xr


class Transform(Component):
    """Turns a dataset into another, lazily."""

    def statistics(self, data: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """What `apply` must know of the whole of `data` (a climatology, a mean), lazy and small; nothing by default."""
        import xarray as xr

        return xr.Dataset()

    @abstractmethod
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """The transformed dataset, lazy where `data` is."""
