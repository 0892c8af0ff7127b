"""Extrapolation along the observed motion: the classical nowcast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from thalweg import Signature

from ._estimate import as_estimate
from ._extrapolation import Extrapolation


class Advection(Extrapolation):
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

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        arrays = {}
        for name in wanted.names:
            values = inputs[name].transpose("sample", "lead", ...).values
            moving = inputs[self.motion_of or name].transpose("sample", "lead", ...).values[:, -self.frames :]
            empty = self._empty(Signature.of(inputs[[name]])[name])
            estimate = np.empty((values.shape[0], wanted.sizes["lead"], *values.shape[2:]), np.float32)
            for sample, (own, frames) in enumerate(zip(values, moving, strict=True)):
                last, frames = own[-1].astype(np.float64), frames.astype(np.float64)
                motion = self._found(frames)
                estimate[sample] = np.nan
                if motion is not None:
                    estimate[sample] = self._carried(last, motion, steps=wanted.sizes["lead"], empty=empty)
                if own.dtype.kind == "f":
                    estimate[sample, :, np.isnan(own).all(0)] = np.nan
            arrays[name] = estimate
        return as_estimate(arrays, inputs)
