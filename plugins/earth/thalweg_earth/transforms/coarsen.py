"""Samples for downscaling: a field's block means, and the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import Signature, Transform
from thalweg.errors import HandshakeError, OptionError


class Coarsen(Transform):
    r"""Pairs of block means, the input, and the field, the truth: $\bar x_j = \sum_{i \in B_j} a_i x_i / \sum a_i$.

    Adds `NAME_coarse` along the dims `NAME_coarse` of blocks of `factor` by `factor` cells, with their mean
    coordinates. $a_i$ is 1, or the cosine of the latitude. A block with a missing cell is missing. Raises
    `OptionError` for data that have samples already, `HandshakeError` for a grid that the blocks do not fill.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "factor": 2}

    variable: str
    factor: int = Field(ge=2, description="cells of a block along each dim of space")
    over: str = Field("time", description="the dim of samples; all others are space")
    weights: str = Field("equal", pattern="^(equal|cosine)$", description="equal, or cosine of the latitude")

    def check(self, given: Signature) -> None:
        field = given[self.variable]
        space = [dim for dim in field.dims if dim != self.over]
        if self.over not in field.dims or any(given.sizes[dim] % self.factor for dim in space):
            raise HandshakeError(
                f"{str(field)!r} cannot be cut into blocks of {self.factor}",
                allowed=f"a field along {self.over!r}, of sizes that {self.factor} divides",
                advice="select a part of it, or change `factor`",
            )
        if self.weights == "cosine" and "latitude" not in space:
            raise HandshakeError(
                f"{str(field)!r} has no 'latitude'", allowed="weights: equal", advice="leave `weights` out"
            )

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        if "samples" in data.attrs:
            raise OptionError(
                "the data have samples already", allowed="one index of samples", advice="leave `windows` out"
            )
        field = data[self.variable].transpose(self.over, ...)
        space = [str(dim) for dim in field.dims if dim != self.over]
        size = dict.fromkeys(space, self.factor)
        weight = xr.DataArray(np.float64(1.0))
        if self.weights == "cosine":
            latitude = data["latitude"].astype(np.float64)
            weight = latitude.copy(data=np.cos(np.deg2rad(latitude.values)))
        weight = weight.broadcast_like(field.isel({self.over: 0}, drop=True)).reset_coords(drop=True)
        summed = (field * weight).coarsen(size).reduce(np.sum) / weight.coarsen(size).reduce(np.sum)
        coarse = summed.rename({dim: f"{dim}_coarse" for dim in space}).astype(np.float32)
        coarse.attrs = {key: each for key, each in field.attrs.items() if key in ("units", "standard_name")}
        coarse.attrs["long_name"] = f"{field.attrs.get('long_name', self.variable)}, mean of blocks"
        spec = {"kind": "pairs", "dim": self.over, "inputs": [f"{self.variable}_coarse"], "truth": [self.variable]}
        return data.assign({f"{self.variable}_coarse": coarse}).assign_attrs(samples=spec)
