"""Extrapolation along the observed motion: the classical nowcast."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field
from scipy import ndimage
from thalweg import Solver
from thalweg.errors import HandshakeError
from thalweg.signature import Signature

from . import _motion
from ._estimate import as_estimate, check_history


class Advection(Solver):
    r"""The last input carried along the motion of the last `frames` inputs, steady and backward semi-Lagrangian.

    $\hat x(t+m, r) = x(t, r - d_m(r))$, $d_{m+1} = d_m + v(r - d_m)$ by the midpoint rule; bilinear, so never above the
    maximum nor below the minimum (or 0) of the last input. `optical-flow` finds a motion per cell,
    `phase-correlation` one per sample. What flows in over the edge is 0 (`inflow: empty`) or the value of the edge.
    Fields are `(sample, lead, y, x)`, returned in float32; missing cells count as 0 and stay missing.
    Raises `HandshakeError` for fields of other shapes.
    """

    cite: ClassVar[str] = "10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2"

    motion: Literal["optical-flow", "phase-correlation"] = "optical-flow"
    frames: int = Field(5, ge=2, description="last inputs from which the motion is found")
    window: float = Field(4.0, gt=0, description="optical flow: width in cells within which motion is alike")
    stiffness: float = Field(0.3, gt=0, description="optical flow: pull towards the motion of the whole field")
    smoothing: float = Field(0.1, ge=0, description="width in cells, per lead, of a Gaussian that blurs the estimate")
    inflow: Literal["empty", "edge"] = "empty"
    motion_of: str = Field("", description="the input whose motion carries every field; each its own if empty")

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
            estimate = np.empty((values.shape[0], wanted.sizes["lead"], *values.shape[2:]), np.float32)
            for sample, (last, frames) in enumerate(zip(values[:, -1], moving, strict=True)):
                missing = np.isnan(last) if last.dtype.kind == "f" else None
                filled = (np.nan_to_num(each.astype(np.float64)) for each in (last, frames))
                estimate[sample] = self._extrapolate(*filled, steps=wanted.sizes["lead"])
                if missing is not None:
                    estimate[sample, :, missing] = np.nan
            arrays[name] = estimate
        return as_estimate(arrays, inputs)

    def _extrapolate(self, last: _motion.Array, frames: _motion.Array, *, steps: int) -> _motion.Array:
        if self.motion == "optical-flow":
            motion = _motion.optical_flow(frames, window=self.window, stiffness=self.stiffness)
        else:
            motion = _motion.phase_correlation(frames)
        moved = _motion.extrapolate(last, motion, steps=steps, inflow=self.inflow)
        if self.smoothing:
            for step, field in enumerate(moved):
                moved[step] = ndimage.gaussian_filter(field, self.smoothing * (step + 1), mode="nearest")
        return moved
