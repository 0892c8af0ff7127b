"""Extrapolation along the observed motion: the classical nowcast."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from scipy import ndimage
from thalweg import Field as SignatureField
from thalweg import HandshakeError, Signature, Solver

from . import _motion
from ._estimate import as_estimate, check_history
from ._smoothing import gaussian_mean


class Advection(Solver):
    r"""The last input carried along the motion of the last `frames` inputs, steady and backward semi-Lagrangian.

    $\hat x(t+m, r) = x(t, r - d_m(r))$, $d_{m+1} = d_m + v(r - d_m)$ by the midpoint rule; bilinear, so never above the
    maximum nor below the minimum (or `empty`) of the last input. `optical-flow` finds a motion per cell,
    `phase-correlation` one per sample. What flows in over the edge is `empty` or the value of the edge
    (`inflow: edge`). Fields are `(sample, lead, y, x)`, returned in float32.

    Cells that are missing weigh nothing, in the motion and in the interpolation. An estimate is missing where no more
    than half of what it comes from was observed, and where the cell is missing in all inputs (out of a radar's reach).
    `empty` is a value in the units of the variable, and by default what says "nothing" there: 0 of rates and amounts of
    precipitation, and of a variable without units whose `valid_range` begins at 0; of dBZ, of which 0 is an echo, the
    lower end of `valid_range`. Of any other it is not known, and what flows in is missing. Raises `HandshakeError` for
    fields of other shapes.
    """

    cite: ClassVar[str] = "10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2"
    example: ClassVar[Mapping[str, Any]] = {"empty": 0.0}

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
                f"advection moves fields in the plane, but is given {str(wrong[0])!r}",
                allowed="fields (sample, lead, y, x) of at least 3 by 3 cells",
                advice="select one level or channel in preprocess",
            )

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        arrays = {}
        for name in wanted.names:
            values = inputs[name].transpose("sample", "lead", ...).values
            moving = inputs[self.motion_of or name].transpose("sample", "lead", ...).values[:, -self.frames :]
            empty = self._empty(Signature.of(inputs[[name]])[name])
            estimate = np.empty((values.shape[0], wanted.sizes["lead"], *values.shape[2:]), np.float32)
            for sample, (own, frames) in enumerate(zip(values, moving, strict=True)):
                last, frames = own[-1].astype(np.float64), frames.astype(np.float64)
                estimate[sample] = self._extrapolate(last, frames, steps=wanted.sizes["lead"], empty=empty)
                if own.dtype.kind == "f":
                    estimate[sample, :, np.isnan(own).all(0)] = np.nan
            arrays[name] = estimate
        return as_estimate(arrays, inputs)

    def _empty(self, field: SignatureField) -> float:
        if isinstance(self.empty, float):
            return self.empty
        given = (self.empty or {}).get(field.name)
        return empty_of(field) if given is None else given

    def _extrapolate(self, last: _motion.Array, frames: _motion.Array, *, steps: int, empty: float) -> _motion.Array:
        if not _motion.is_known(frames):
            return np.full((steps, *last.shape), np.nan)
        if self.motion == "optical-flow":
            motion = _motion.optical_flow(frames, window=self.window, stiffness=self.stiffness)
        else:
            motion = _motion.phase_correlation(frames)
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
