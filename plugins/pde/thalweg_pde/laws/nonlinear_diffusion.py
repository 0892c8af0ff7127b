"""Diffusion whose conductivity depends on what diffuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, model_validator
from thalweg import DifferentiableLaw, Fields, HandshakeError, OptionError, Signature
from thalweg.laws import like, permuted

if TYPE_CHECKING:
    from torch import Tensor

Array = Any
"""Of numpy, or a tensor."""
LEAST = 1e-3
"""Of the field under a power, whose derivatives have a pole at 0."""


class NonlinearDiffusion(DifferentiableLaw):
    r"""$u_t - (k(u) u_x)_x = 0$ with $k = \max(u, 0)^m$ (`power`) or $k = 1$ where $u \ge u^*$, else 0 (`threshold`).

    On a grid by central differences of second order, at its inner points; of tensors at scattered points by automatic
    differentiation. In units of the field by those of the time. Where the solution has a kink, differences see what
    is not there: the residual of the exact solution is not small. Raises `OptionError` without a conductivity,
    `HandshakeError` for fewer than three points along a dim, or a parameter that is no input.
    """

    example: ClassVar[Mapping[str, Any]] = {"variable": "u", "power": "parameter"}
    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"

    variable: str = Field(description="the field that the law is about")
    power: float | str | None = Field(
        None, description="exponent $m$ of the conductivity: a number, or the name of an input with one for each sample"
    )
    threshold: float | str | None = Field(
        None,
        description="threshold $u^*$ of the conductivity: a number, or the name of an input with one for each sample",
    )
    time: str = Field("time", description="name of the dim that is time")
    space: str = Field("x", description="name of the dim that is space")

    @model_validator(mode="after")
    def _one_conductivity(self) -> NonlinearDiffusion:
        if (self.power is None) == (self.threshold is None):
            raise OptionError(
                f"power {self.power!r} and threshold {self.threshold!r} do not say what the conductivity is",
                allowed="one of `power` and `threshold`",
                advice="set `power: parameter` for the porous medium, `threshold: parameter` for melting",
            )
        return self

    def check(self, given: Signature) -> None:
        """Raise `HandshakeError` for a field without the dims, or with fewer than three points along one."""
        sizes = {dim: given.sizes.get(dim, 3) for dim in given[self.variable].dims}
        if any(sizes.get(dim, 0) < 3 for dim in (self.time, self.space)):
            raise HandshakeError(
                f"{self.variable!r} has {sizes}",
                allowed=f"three points or more along {self.time!r} and {self.space!r}",
                advice="name its dims in `time` and `space`",
            )

    def known(self, context: xr.Dataset, grid: xr.Dataset) -> Mapping[str, xr.DataArray]:  # noqa: ARG002
        parameter = self._parameter(context)
        return {"parameter": xr.DataArray(parameter, dims=("sample",)[: parameter.ndim])}

    def array_residual(self, fields: Fields, known: Mapping[str, Array], grid: xr.Dataset) -> Array:
        field: Array = fields.values[self.variable]
        field = field.astype(np.float64) if isinstance(field, np.ndarray) else field
        parameter = like(known["parameter"], field).reshape(-1, *(1,) * (field.ndim - 1))
        if self.time not in fields.points:
            dims = fields.dims[self.variable]
            order = [*(dim for dim in dims if dim not in (self.time, self.space)), self.time, self.space]
            found = self._differences(permuted(field, [dims.index(dim) for dim in order]), parameter, grid)
            return permuted(found, [order.index(dim) for dim in dims])
        import torch

        time, space = fields.points[self.time], fields.points[self.space]

        def by(whole: Tensor, at: Tensor) -> Tensor:
            (slope,) = torch.autograd.grad(whole.sum(), at, create_graph=True, allow_unused=True)
            return torch.zeros_like(at) if slope is None else slope

        with torch.enable_grad():  # A validation asks for none.
            return by(field, time) - by(self._conductivity(field, parameter) * by(field, space), space)

    def labelled(self, residual: Array, fields: xr.Dataset, context: xr.Dataset, /) -> xr.Dataset:  # noqa: ARG002
        """At the inner points."""
        field = fields[self.variable]
        inner = field.isel({self.time: slice(1, -1), self.space: slice(1, -1)})
        units, per = field.attrs.get("units", "1"), fields[self.time].attrs.get("units", "1")
        named = inner.copy(data=residual).assign_attrs(units=units if per == "1" else f"{units} ({per})-1")
        return named.to_dataset(name=self.variable)

    def _differences(self, field: Array, parameter: Array, grid: xr.Dataset) -> Array:
        """At the inner points `(..., time, space)`: of the flux between cells, and a parabola through three times."""
        time, space = (_like(grid[dim].values, field) for dim in (self.time, self.space))
        before, after = time[1:-1] - time[:-2], time[2:] - time[1:-1]
        early, late = -after / (before * (before + after)), before / (after * (before + after))
        past, now, next_ = field[..., :-2, 1:-1], field[..., 1:-1, 1:-1], field[..., 2:, 1:-1]
        change = early[:, None] * past - (early + late)[:, None] * now + late[:, None] * next_
        middle = field[..., 1:-1, :]
        width = space[1:] - space[:-1]
        between = self._conductivity((middle[..., 1:] + middle[..., :-1]) / 2, parameter)
        flux = between * (middle[..., 1:] - middle[..., :-1]) / width
        return change - (flux[..., 1:] - flux[..., :-1]) / ((width[1:] + width[:-1]) / 2)

    def _conductivity(self, field: Array, parameter: Array) -> Array:
        return field.clip(LEAST, None) ** parameter if self.threshold is None else (field >= parameter) * 1.0

    def _parameter(self, context: xr.Dataset) -> np.ndarray[Any, Any]:
        value = self.power if self.threshold is None else self.threshold
        if not isinstance(value, str):
            return np.asarray(value, np.float64)
        if value not in context.variables or context[value].dims not in ((), ("sample",)):
            raise HandshakeError(
                f"no input {value!r} says what the conductivity is, one for each sample",
                allowed=", ".join(map(str, context.variables)),
                advice="give it among the inputs, or a number",
            )
        return np.asarray(context[value].values, np.float64)


def _like(values: np.ndarray[Any, Any], field: Array) -> Array:
    """Numbers as an array of the kind of the field."""
    if isinstance(field, np.ndarray):
        return values.astype(np.float64)
    import torch

    return torch.tensor(values, dtype=field.dtype, device=field.device)
