"""What a metric may give instead of a field per point: a sum, and how many values went into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Totals:
    """A statistic that was already added up over some dims: its sum, and how many values went into it."""

    sum: xr.DataArray
    count: xr.DataArray

    def over(self, *dims: str) -> Totals:
        """Added up over those of `dims` that are there."""
        return Totals(
            self.sum.sum([dim for dim in dims if dim in self.sum.dims], skipna=False),
            self.count.sum([dim for dim in dims if dim in self.count.dims], skipna=False),
        )

    def mean(self) -> xr.DataArray:
        """Sum over count; NaN where nothing was counted."""
        import numpy as np

        # Of the arrays themselves: xarray's `where` takes ten times as long for what is as small as this.
        counted = self.count.copy(data=np.where(self.count.data > 0, self.count.data, np.nan))
        return self.sum / counted
