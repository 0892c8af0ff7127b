"""Critical success index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import xarray as xr

from ._contingency import Contingency, ratio


class CSI(Contingency):
    """Critical success index, also called threat score, of events at or above each threshold.

        CSI = H / (H + M + F)        H hits, M misses, F false alarms

    With `pool` k, of the maxima over squares of k x k cells. Dimensionless, 0 to 1, along `threshold`.
    """

    cite: ClassVar[str] = "10.1175/1520-0434(1990)005<0570:TCSIAA>2.0.CO;2 10.48550/arXiv.2307.10422"
    higher_is_better: ClassVar[bool | None] = True
    best: ClassVar[float | None] = 1.0

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return ratio(mean["hits"], mean["hits"] + mean["misses"] + mean["false_alarms"], self.empty)
