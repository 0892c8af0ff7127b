"""Relative pose error."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr
from pydantic import Field, PositiveInt
from thalweg import Signature, WholeMetric

from ..layout import needs_poses
from ..trajectory import Align, rpe
from ._trajectories import pairs, summary, told


class RelativePoseError(WholeMetric):
    r"""How far the motion over `delta` poses is off, $(G_i^{-1} G_{i+d})^{-1} (P_i^{-1} P_{i+d})$, m and degrees.

    Per trajectory the root mean squares of its shift (`trans_rmse`) and its angle (`rot_rmse_deg`); then, over
    trajectories, mean, max, p99 and p90. Poses are those whose truth is known, one after another, and a motion begins
    at each, as evo's `rpe --all_pairs` has it. Of the ways to align only a scale (`sim3`) makes a difference.
    Trajectories of no more than `delta` poses are left out.
    """

    cite: ClassVar[str] = "10.1109/IROS.2012.6385773"
    units: ClassVar[str] = "m or degrees"
    higher_is_better: ClassVar[bool | None] = False
    best: ClassVar[float | None] = 0.0

    delta: PositiveInt = Field(1, description="number of poses between the two ends of a motion")
    align: Align = Field(
        "none",
        description="alignment of the trajectory with the truth before errors are taken: none, first pose on "
        "first pose (origin), least squares with rotation and translation (se3), and with scale too (sim3)",
    )

    def check(self, given: Signature) -> None:
        needs_poses(given, by=self.name)

    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        scored = list(pairs(estimate, truth))
        long = [each for each in scored if len(each) > self.delta]
        scores = [rpe(each.estimate, each.truth, delta=self.delta, by=self.align) for each in long]
        unknown = {"trans_rmse": float("nan"), "rot_rmse_deg": float("nan")}
        return summary(scores or [unknown], units=self.units, told=told(estimate, scored))
