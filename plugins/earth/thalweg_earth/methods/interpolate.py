"""From block means to a finer grid."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from scipy import ndimage
from thalweg import Solver
from thalweg.errors import HandshakeError
from thalweg.signature import Signature

_ORDERS: dict[str, Literal[0, 1, 3]] = {"nearest": 0, "linear": 1, "cubic": 3}


class Interpolate(Solver):
    r"""The fine field from `NAME_coarse`, its means over blocks, by a spline through the blocks' centres.

    A fine cell i lies at $(i + 1/2) / f - 1/2$ in cells of the coarse grid; beyond the outermost centres the field is
    mirrored. For what `coarsen` gives. Interpolation does not keep the means: hold them by `block-mean`. A cubic one
    may leave the bounds of the field. Missing blocks are 0 to their neighbours, and missing themselves. Raises
    `HandshakeError` without the coarse field, or for a fine grid that it does not divide.
    """

    cite: ClassVar[str] = "10.1109/42.875199"

    order: Literal["nearest", "linear", "cubic"] = "linear"

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

    def _finer(self, coarse: Any, sizes: list[int]) -> Any:
        if len(sizes) != coarse.ndim - 1 or any(n % m for n, m in zip(sizes, coarse.shape[1:], strict=True)):
            raise HandshakeError(
                f"a coarse field of {coarse.shape[1:]} does not divide a fine one of {tuple(sizes)}",
                allowed="whole blocks",
                advice="change `factor` of `coarsen`",
            )
        factors = [n // m for n, m in zip(sizes, coarse.shape[1:], strict=True)]
        axes = [(np.arange(n) + 0.5) / f - 0.5 for n, f in zip(sizes, factors, strict=True)]
        places = np.stack(np.meshgrid(*axes, indexing="ij"))
        missing = np.isnan(coarse)
        found = np.empty((len(coarse), *sizes))
        for number, each in enumerate(np.where(missing, 0.0, coarse)):
            ndimage.map_coordinates(each, places, found[number], _ORDERS[self.order], "reflect")
        for axis, factor in enumerate(factors, start=1):
            missing = np.repeat(missing, factor, axis)
        return np.where(missing, np.nan, found)
