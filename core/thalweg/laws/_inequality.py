"""Laws of what values a field may take."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, final

import numpy as np
import xarray as xr

from ..components import DifferentiableLaw
from ..components.fields import aligned, like, where
from ..errors import HandshakeError

if TYPE_CHECKING:
    from ..components import Fields
    from ..components.fields import Array

Limit = float | xr.DataArray


class BoundedLaw(DifferentiableLaw):
    """Each value lies between two limits; held together with linear laws.

    The residual is how far values are outside, negative below, in the precision of the field; NaN of missing ones, and
    0 where `known` says that a cell is not there.
    """

    variable: str

    @abstractmethod
    def limits(self, context: xr.Dataset, grid: xr.Dataset) -> tuple[Limit, Limit]:
        """Lower and upper, numbers or fields; infinite where there is none."""

    @final
    def known(self, context: xr.Dataset, grid: xr.Dataset) -> Mapping[str, xr.DataArray]:
        both = zip(("lower", "upper"), self.limits(context, grid), strict=True)
        return {
            name: self._spread(limit, grid[self.variable])
            for name, limit in both
            if isinstance(limit, xr.DataArray) or np.isfinite(limit)
        }

    @final
    def array_residual(self, fields: Fields, known: Mapping[str, Array], grid: xr.Dataset) -> Array:
        field, dims = fields.values[self.variable], fields.dims[self.variable]

        def of(name: str) -> Array:
            return aligned(known[name], ("sample", *map(str, grid[self.variable].dims)), dims)

        found = [field * 0.0] if not {"lower", "upper"} & set(known) else []
        if "upper" in known:
            found.append((field - like(of("upper"), field)).clip(0.0, None))
        if "lower" in known:
            found.append((field - like(of("lower"), field)).clip(None, 0.0))
        outside = sum(found[1:], start=found[0])
        return where(of("there"), outside) if "there" in known else outside

    def _spread(self, limit: Limit, field: xr.DataArray) -> xr.DataArray:
        """A limit along `sample` and the dims of the grid's field, of size 1 where it is the same."""
        own = limit.variable if isinstance(limit, xr.DataArray) else xr.Variable((), limit)
        order = ("sample", *map(str, field.dims))
        if any(dim not in order or own.sizes[dim] != field.sizes.get(dim, own.sizes[dim]) for dim in own.dims):
            raise HandshakeError(
                f"{self.name} has a limit of {dict(own.sizes)!r}",
                allowed=f"a number, or dims of {self.variable!r}: {dict(field.sizes)!r}",
                advice="name a field on the grid of the variable",
            )
        return xr.DataArray(own.set_dims({dim: own.sizes.get(dim, 1) for dim in order}).transpose(*order))
