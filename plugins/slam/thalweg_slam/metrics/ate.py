"""Absolute trajectory error."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Signature, WholeMetric

from ..layout import needs_poses
from ..trajectory import LEAST, Align, ate, statistics
from ._trajectories import Scored, pairs, summary, told


class AbsoluteTrajectoryError(WholeMetric):
    r"""Distances $\lVert p_i - S \hat p_i \rVert$ of the estimated positions from the true ones after alignment, m.

    Per trajectory their rmse, mean, median, max, p90 and p99 over the poses whose truth is known; then, over
    trajectories, mean, max, p99 and p90. NaN of fewer than three poses, unless `align` is `none` or `origin`. Recorded
    beside it: `matched` of `poses`, and `converged`, `iterations` and `chi2-per-freedom` of an estimate that has them.
    `align` is `none`, `origin` (first pose on first pose), `se3` (the rigid motion of least squares; SE(2) in 2-D) or
    `sim3` (that and a scale). Agrees with evo's `ape` on translations.
    """

    cite: ClassVar[str] = "10.1109/IROS.2012.6385773 10.1109/34.88573"
    units: ClassVar[str] = "m"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    align: Align = Field(
        "se3",
        description="alignment of the trajectory with the truth before errors are taken: none, first pose on "
        "first pose (origin), least squares with rotation and translation (se3), and with scale too (sim3)",
    )

    def check(self, given: Signature) -> None:
        needs_poses(given, by=self.name)

    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        scored = list(pairs(estimate, truth))
        return summary([self._of(each) for each in scored], units=self.units, told=told(estimate, scored))

    def _of(self, each: Scored) -> dict[str, float]:
        least = 1 if self.align in ("none", "origin") else LEAST
        if len(each) < least:
            return dict.fromkeys(statistics(np.zeros(1)), np.nan)
        return ate(each.estimate, each.truth, by=self.align)
