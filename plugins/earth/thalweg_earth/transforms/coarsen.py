"""Samples for downscaling: a field's block means, and the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field
from thalweg import HandshakeError, OptionError, Pairs, Signature, Transform, has_index, quantities

from .._box import is_longitude, mean_longitude


class Coarsen(Transform):
    r"""Pairs of block means, the input, and the field, the truth: $\bar x_j = \sum_{i \in B_j} a_i x_i / \sum a_i$.

    Adds `NAME_coarse` along the dims `NAME_coarse` of blocks of `factor` by `factor` cells, with their mean
    coordinates, which for longitudes may lie across 0 or 180 degrees. $a_i$ is 1, or the cosine of the latitude. The
    sums are over the cells that are there; a block of which less than `min_valid` is there is missing. Raises
    `OptionError` for data that have samples already, `HandshakeError` for a grid that the blocks do not fill.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "factor": 2}

    variable: str = Field(description="the field that is read")
    factor: int = Field(ge=2, description="cells of a block along each dim of space")
    over: str = Field("time", description="the dim of samples; all others are space")
    min_valid: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of a block's area that must have values, else it is missing; 0: one cell is enough",
    )
    weights: str = Field(
        "equal",
        pattern="^(equal|cosine)$",
        description="weights of the cells in a block's mean: equal, or the cosine of latitude",
    )

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
        if has_index(data):
            raise OptionError(
                "the data have samples already", allowed="one index of samples", advice="leave `windows` out"
            )
        field = data[self.variable].transpose(self.over, ...)
        space = [str(dim) for dim in field.dims if dim != self.over]
        weight = xr.DataArray(np.float64(1.0))
        if self.weights == "cosine":
            weight = quantities.cosine_of_latitude(data["latitude"])
        weight = weight.broadcast_like(field.isel({self.over: 0}, drop=True))
        coarse = self._means(field, weight.drop_vars(list(weight.coords)), space)
        coarse = coarse.rename({dim: f"{dim}_coarse" for dim in space}).astype(np.float32)
        coarse.attrs = {key: each for key, each in field.attrs.items() if key in ("units", "standard_name")}
        coarse.attrs["long_name"] = f"{field.attrs.get('long_name', self.variable)}, mean of blocks"
        count, name = data.sizes[self.over], f"{self.variable}_coarse"
        index = Pairs.over(self.over, count, inputs=(name,), truth=(self.variable,))
        return index.on(data.assign({name: coarse}))

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """The estimate: what is estimated is the field itself, on its own grid."""
        return estimate

    def _means(self, field: xr.DataArray, weight: xr.DataArray, space: list[str]) -> xr.DataArray:
        """Weighted means of blocks over the cells that are there; missing where too few are."""
        size = dict.fromkeys(space, self.factor)
        round_the_globe: Any = {name: mean_longitude for name, each in field.coords.items() if is_longitude(each)}

        def summed(array: xr.DataArray) -> xr.DataArray:
            return array.coarsen(size, coord_func=round_the_globe).reduce(np.sum)

        area = summed(weight)
        if field.dtype.kind != "f":
            return summed(field * weight) / area
        there = field.notnull()
        seen = summed(there.drop_vars(list(there.coords)) * weight)
        enough = (seen > 0.0) & (seen >= self.min_valid * area * (1 - _ROUNDING))
        return summed(field.fillna(0.0) * weight) / seen.where(enough)


_ROUNDING = 1e-9
"""So that half of a block's cells are half of its area, whatever the rounding of the sums."""
