"""From block means to a finer grid."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage
from thalweg import HandshakeError, Signature, Solver

from ._smoothing import gaussian_mean

Array = NDArray[Any]

_ORDERS: dict[str, Literal[0, 1, 3]] = {"nearest": 0, "linear": 1, "cubic": 3}


class Interpolate(Solver):
    r"""The fine field from `NAME_coarse`, its means over blocks, by a spline through the blocks' centres.

    A fine cell i lies at $(i + 1/2) / f - 1/2$ in cells of the coarse grid; beyond the outermost centres the field is
    mirrored. For what `coarsen` gives. Interpolation does not keep the means: hold them by `block-mean`. A cubic one
    may leave the bounds of the field. Missing blocks stay missing, and weigh nothing: a linear interpolation is between
    the blocks that are there, a cubic one takes a mean of those around for a missing one. Raises `HandshakeError`
    without the coarse field, or for a fine grid that it does not divide.
    """

    cite: ClassVar[str] = "10.1109/42.875199"

    order: Literal["nearest", "linear", "cubic"] = Field(
        "linear", description="order of the spline: 0 (nearest), 1 (linear) or 3 (cubic)"
    )

    def check(self, given: Signature) -> None:
        if not any(each.name.endswith("_coarse") for each in given.fields):
            raise HandshakeError(
                f"{self.name} finds no field that ends in '_coarse'",
                allowed=", ".join(given.names),
                advice="put `coarsen` into preprocess",
            )

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        fields = {}
        for field in wanted.fields:
            if f"{field.name}_coarse" not in inputs:
                raise HandshakeError(
                    f"there is no {f'{field.name}_coarse'!r} to find {field.name!r} from",
                    allowed=", ".join(map(str, inputs.data_vars)),
                    advice="put `coarsen` into preprocess",
                )
            coarse = inputs[f"{field.name}_coarse"].transpose("sample", ...)
            sizes = [wanted.sizes[dim] for dim in field.dims if dim != "sample"]
            values = self._finer(coarse.values.astype(np.float64), sizes)
            fields[field.name] = (field.dims, values.astype(np.float32), dict(coarse.attrs))
        return xr.Dataset(fields, dict(inputs.coords))

    def _finer(self, coarse: Array, sizes: list[int]) -> Array:
        if len(sizes) != coarse.ndim - 1 or any(n % m for n, m in zip(sizes, coarse.shape[1:], strict=True)):
            raise HandshakeError(
                f"a coarse field of {coarse.shape[1:]} does not divide a fine one of {tuple(sizes)}",
                allowed="whole blocks",
                advice="change `factor` of `coarsen`",
            )
        factors = [n // m for n, m in zip(sizes, coarse.shape[1:], strict=True)]
        axes = [(np.arange(n) + 0.5) / f - 0.5 for n, f in zip(sizes, factors, strict=True)]
        places = np.stack(np.meshgrid(*axes, indexing="ij"))
        found = np.empty((len(coarse), *sizes))
        for number, each in enumerate(coarse):
            found[number] = self._at(each, places)
        missing = np.isnan(coarse)
        for axis, factor in enumerate(factors, start=1):
            missing = np.repeat(missing, factor, axis)
        return np.where(missing, np.nan, found)

    def _at(self, coarse: Array, places: Array) -> Array:
        """One coarse field at places in its cells; where nothing is there, whatever it may be."""
        there = np.isfinite(coarse)
        if there.all():
            return self._spline(coarse, places)
        if self.order == "cubic":
            return self._spline(_filled(coarse, there), places)
        total = self._spline(np.where(there, coarse, 0.0), places)
        share = self._spline(there.astype(np.float64), places)
        return np.where(share > 0.0, total, np.nan) / np.where(share > 0.0, share, 1.0)

    def _spline(self, coarse: Array, places: Array) -> Array:
        found: Array = ndimage.map_coordinates(coarse, places, order=_ORDERS[self.order], mode="reflect")
        return found


def _filled(coarse: Array, there: Array) -> Array:
    """Missing blocks as the mean of those around, the nearest counting most; the nearest one where none is near."""
    if not there.any():
        return np.zeros_like(coarse)
    nearest = ndimage.distance_transform_edt(~there, return_distances=False, return_indices=True)
    mean, share = gaussian_mean(coarse, 1.0, there)
    return np.where(there, coarse, np.where(share > 0.0, mean, coarse[tuple(nearest)]))
