"""Frequency bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr

from ._contingency import Contingency, ratio


class FrequencyBias(Contingency):
    """How many events at or above each threshold the estimate has, for each that the truth has.

        bias = (H + F) / (H + M)        H hits, M misses, F false alarms

    Dimensionless, 0 to infinity, along `threshold`. Of false alarms only it is infinite; NaN (or
    `empty`) where neither has an event.
    """

    cite: ClassVar[str] = "10.1175/2008WAF2222159.1"
    best: ClassVar[float | None] = 1.0

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return ratio(mean["hits"] + mean["false_alarms"], mean["hits"] + mean["misses"], self.empty)
