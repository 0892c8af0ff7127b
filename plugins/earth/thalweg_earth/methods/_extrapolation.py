"""What methods have in common that carry the last input along its motion."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from pydantic import Field
from scipy import ndimage
from thalweg import Field as SignatureField
from thalweg import HandshakeError, Signature, Solver

from . import _motion
from ._estimate import check_history
from ._smoothing import gaussian_mean


class Extrapolation(Solver):
    """The last input, carried along the motion of the last `frames` inputs."""

    motion: Literal["optical-flow", "phase-correlation"] = Field(
        "optical-flow",
        description="how the motion is found: optical flow (a vector for each cell), or phase correlation (one "
        "for the field)",
    )
    frames: int = Field(5, ge=2, description="last inputs from which the motion is found")
    window: float = Field(
        4.0, gt=0, description="optical flow: width of the neighbourhood that shares a motion, in cells"
    )
    stiffness: float = Field(
        0.3, gt=0, description="optical flow: weight that pulls the motion of a cell towards that of the whole field"
    )
    smoothing: float = Field(0.1, ge=0, description="width in cells, per lead, of a Gaussian that blurs the estimate")
    inflow: Literal["empty", "edge"] = Field(
        "empty", description="what flows in over the edge: the value `empty`, or the value at the edge"
    )
    empty: float | dict[str, float] | None = Field(
        None,
        description="value that flows in with `inflow: empty`, in the units of the variable; or one for each "
        "variable by name",
    )
    motion_of: str = Field(
        "", description="the input whose motion carries every field; its own motion carries each if empty"
    )

    def check(self, given: Signature) -> None:
        check_history(given, self.frames, taker=self.name)
        if self.motion_of and self.motion_of not in given:
            raise HandshakeError(
                f"there is no input {self.motion_of!r} to find a motion of",
                allowed=", ".join(given.names),
                advice="name it in `observe` of windows",
            )
        moving = [each for each in given.fields if "lead" in each.dims]
        wrong = [each for each in moving if len(each.dims) != 4 or min(given.sizes[dim] for dim in each.dims[2:]) < 3]
        if wrong:
            raise HandshakeError(
                f"{self.name} moves fields in the plane, but is given {str(wrong[0])!r}",
                allowed="fields (sample, lead, y, x) of at least 3 by 3 cells",
                advice="select one level or channel in preprocess",
            )

    def _empty(self, field: SignatureField) -> float:
        if isinstance(self.empty, float):
            return self.empty
        given = (self.empty or {}).get(field.name)
        return empty_of(field) if given is None else given

    def _found(self, frames: _motion.Array) -> _motion.Array | None:
        """The motion (2, y, x) of frames (frame, y, x), in cells per step; None where there is none to be found."""
        if not _motion.is_known(frames):
            return None
        if self.motion == "optical-flow":
            return _motion.optical_flow(frames, window=self.window, stiffness=self.stiffness)
        return _motion.phase_correlation(frames)

    def _carried(self, last: _motion.Array, motion: _motion.Array, *, steps: int, empty: float) -> _motion.Array:
        """A field along a motion, (steps, y, x)."""
        moved = _motion.extrapolate(last, motion, steps=steps, inflow=self.inflow, empty=empty)
        if self.smoothing:
            for step, field in enumerate(moved):
                moved[step] = _blurred(field, self.smoothing * (step + 1))
        return moved


def empty_of(field: SignatureField) -> float:
    """The value of a field that says that nothing is there, in its units; NaN where that is not known."""
    low = field.bounds[0] if field.bounds else np.nan
    if _PRECIPITATION.match(field.units):
        return 0.0
    if field.units == "dBZ":
        return low
    return 0.0 if field.units in ("1", "%") and low == 0.0 else np.nan


_PRECIPITATION = re.compile(r"(mm|kg\s*(m(\*\*|\^)?-2|/\s*m(\*\*|\^)?2))(?![A-Za-z0-9])")
"""Amounts and rates: mm, mm h-1, mm/hr, kg m-2 s-1."""


def _blurred(field: _motion.Array, width: float) -> _motion.Array:
    """Under a Gaussian, over the cells that are there; missing ones stay missing."""
    there = np.isfinite(field)
    if there.all():
        return ndimage.gaussian_filter(field, width, mode="nearest")
    return np.where(there, gaussian_mean(field, width, there)[0], np.nan)
