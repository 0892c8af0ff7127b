"""The smallest change."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr
from thalweg import Held, Law, OutputEnforcer

from ..holding import HELD, Prior, hold


class Additive(OutputEnforcer):
    r"""The nearest field that obeys: $\mu' = \mu - G^T (G G^T + R)^{-1} (G \mu - b)$; also called HardC.

    Every cell is held to be equally uncertain, so an area mean is corrected by one number everywhere. All laws are
    solved jointly, bounds and one integral by one monotone equation, and each member of an ensemble by itself; a
    variance is left as it is. Raises `RunError` for laws that contradict each other.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    takes: ClassVar[tuple[type[Law], ...]] = HELD

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        return hold(estimate, held, context=context, prior=lambda _: Prior())
