"""Probability of detection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr

from ._contingency import Contingency, ratio


class POD(Contingency):
    """Probability of detection, also called hit rate, of events at or above each threshold.

        POD = H / (H + M)        H hits, M misses

    Dimensionless, 0 to 1, along `threshold`.
    """

    cite: ClassVar[str] = "10.1175/2008WAF2222159.1"
    higher_is_better: ClassVar[bool | None] = True
    best: ClassVar[float | None] = 1.0

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return ratio(mean["hits"], mean["hits"] + mean["misses"], self.empty)
