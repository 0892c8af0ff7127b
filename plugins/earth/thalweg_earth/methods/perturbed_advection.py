"""An ensemble of extrapolations, each along a motion of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeFloat
from thalweg import Draw, Signature

from ._estimate import as_estimate
from ._extrapolation import Extrapolation


class PerturbedAdvection(Extrapolation):
    r"""Members carried as `advection` carries the last input, each with a vector of its own added to the motion.

    $v_k = v + \sigma \epsilon_k$, $\epsilon_k \sim N(0, I)$ in the plane, steady over all leads: where rain will be is
    less certain than how it will look. Choose $\sigma$ (`spread`) on a validation period, by the CRPS. A member belongs
    to its sample and number: it is the same alone and beside others. Fields are `(sample, member, lead, y, x)`, in
    float32. Missing cells as in `advection`. Raises `HandshakeError` for fields of other shapes.
    """

    cite: ClassVar[str] = "10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2"
    example: ClassVar[Mapping[str, Any]] = {"empty": 0.0, "members": 2}

    members: int = Field(16, ge=2, description="how many motions are tried, each of which gives a member")
    spread: NonNegativeFloat = Field(
        0.35, description="standard deviation of each component of a member's own motion, in cells per step"
    )
    seed: int = Field(0, ge=0, description="seed of the members' motions")

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """The truth's fields, with members."""
        return truth.with_members(self.members)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        steps, draw = wanted.sizes["lead"], Draw.of(inputs, seed=self.seed, members=self.members)
        own = self.spread * draw.normal("motion", (2,), members=True).astype(np.float64)
        arrays, missing = {}, {}
        for name in wanted.names:
            values = inputs[name].transpose("sample", "lead", ...).values
            moving = inputs[self.motion_of or name].transpose("sample", "lead", ...).values[:, -self.frames :]
            empty = self._empty(Signature.of(inputs[[name]])[name])
            found = np.full((self.members, values.shape[0], steps, *values.shape[2:]), np.nan, np.float32)
            for sample, frames in enumerate(moving):
                motion, last = self._found(frames.astype(np.float64)), values[sample, -1].astype(np.float64)
                if motion is None:
                    continue
                for member in range(self.members):
                    own_motion = motion + own[sample, member][:, None, None]
                    found[member, sample] = self._carried(last, own_motion, steps=steps, empty=empty)
            if values.dtype.kind == "f":
                missing[name] = np.isnan(values).all(1)
            arrays[name] = found
        members = [self._one(arrays, missing, member, inputs) for member in range(self.members)]
        return xr.concat(members, "member", join="override").transpose("sample", "member", ...)

    def _one(
        self, arrays: Mapping[str, Any], missing: Mapping[str, Any], member: int, inputs: xr.Dataset
    ) -> xr.Dataset:
        """One member, as an estimate."""
        own = {}
        for name, found in arrays.items():
            one = found[member]
            own[name] = np.where(missing[name][:, None], np.nan, one) if name in missing else one
        return as_estimate(own, inputs)
