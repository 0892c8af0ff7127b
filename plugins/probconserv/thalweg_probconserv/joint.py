"""All laws of one variable as one sparse system over the cells that any of them reduces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import HandshakeError, Held, Law, LinearLaw
from thalweg.laws import BoundedLaw, Monotone, System, parted

from .bounded import refuse_disorder

Array = NDArray[Any]


def grouped(held: Held) -> dict[str, list[Law]]:
    """Laws by the variable that they are about. Raises `HandshakeError` for what is held nowhere here."""
    groups: dict[str, list[Law]] = {}
    for law in held.together:
        if isinstance(law, LinearLaw):
            name = law.rows(held.grid).variable
        elif isinstance(law, BoundedLaw | Monotone):
            name = law.variable
        else:
            raise HandshakeError(
                f"{law.name} is not a law of rows, bounds or order",
                allowed="laws with rows and targets, bounds, and monotone",
                advice="hold it by another enforcer",
            )
        groups.setdefault(name, []).append(law)
    return groups


@dataclass(frozen=True)
class Joint:
    """The system of one variable: batch axes first, flattened into one, then cells in C order of `dims`."""

    field: xr.DataArray
    group: list[Law]
    context: xr.Dataset
    grid: xr.Dataset
    members: bool
    """Whether the members are one distribution, and their dim the last axis."""

    @cached_property
    def system(self) -> System | None:
        """The linear laws; None without one."""
        linear = [law for law in self.group if isinstance(law, LinearLaw)]
        also = [law.dim for law in self.group if isinstance(law, Monotone)]
        return System.of(linear, self.grid, also=also) if linear else None

    @cached_property
    def monotone(self) -> Monotone | None:
        found = [law for law in self.group if isinstance(law, Monotone)]
        if found and (self.system is not None or self.members or len(found) > 1):
            raise HandshakeError(
                f"{found[0].name} is held together with other laws of order or of rows, or on members as one",
                allowed="one such law, with bounds beside it",
                advice="leave one out, or hold it by another enforcer",
            )
        return found[0] if found else None

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """The dims that any law reduces, in the grid's order."""
        if self.system is not None:
            return self.system.dims
        reduced = {law.dim for law in self.group if isinstance(law, Monotone)}
        return tuple(str(dim) for dim in self.field.dims if dim in reduced)

    @cached_property
    def outer(self) -> tuple[str, ...]:
        apart = {*self.dims, *(("member",) if self.members else ())}
        return tuple(str(dim) for dim in self.field.dims if dim not in apart)

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.field.sizes[dim] for dim in self.outer)

    @property
    def count(self) -> int:
        return 0 if self.system is None else self.system.count

    @property
    def matrix(self) -> Any:
        """All rows `(k, cells)`, sparse; None without a linear law."""
        return None if self.system is None else self.system.matrix

    @property
    def owners(self) -> tuple[LinearLaw, ...]:
        """The law of each row."""
        return () if self.system is None else self.system.owners

    @cached_property
    def noise(self) -> Array:
        """The largest variance of each row's target `(k,)`."""
        return self._noise[0]

    @cached_property
    def weights(self) -> Array:
        """The share of its root that the noise of each row has, `(*batch, k)`."""
        return np.broadcast_to(self._noise[1], (*self.batch, self.count))

    @cached_property
    def _noise(self) -> tuple[Array, Array]:
        if self.system is None:
            return np.empty(0), np.empty(0)
        largest, weights = parted(self.system.variances(self.context, self.grid))
        return largest, self.system.fitted(weights, self.outer)

    def targets(self) -> Array:
        """`(*batch, k)` of whole rows; NaN where they are unknown."""
        if self.system is None:
            return np.empty((*self.batch, 0))
        found = self.system.fitted(self.system.targets(self.context, self.grid), self.outer)
        return np.broadcast_to(found, (*self.batch, self.count))

    def asked(self, mean: Array) -> tuple[Array, Array]:
        """Targets `(batch, k)` of the rows over the cells of a field that are there, and what their noise counts with.

        This is the share of each row that is there, times `weights`. NaN where a row says nothing.
        """
        targets = self.targets().reshape(len(mean), -1)
        if self.system is None:
            return targets, targets
        there = np.isfinite(mean) if mean.ndim == 2 else np.isfinite(mean).all(-1)
        share = np.broadcast_to(self.system.shares(np.asarray(there)), targets.shape)
        return np.where(share > 0.0, share * targets, np.nan), share * self.weights.reshape(targets.shape)

    def limits(self) -> tuple[Array, Array] | None:
        """The tightest lower and upper bound, (batch, cells) or numbers; None if there is none."""
        bounds = [law.limits(self.context, self.grid) for law in self.group if isinstance(law, BoundedLaw)]
        if not bounds:
            return None
        lower, upper = (
            self._limit([pair[i] for pair in bounds], pick) for i, pick in ((0, np.maximum), (1, np.minimum))
        )
        refuse_disorder(lower, upper)
        if self.monotone is not None and (lower.ndim or upper.ndim):
            raise HandshakeError(
                f"bounds that are fields are held together with {self.monotone.name}",
                allowed="bounds that are numbers, beside an order",
                advice="give numbers as bounds, or hold one of the two in another variant",
            )
        return lower, upper

    def _limit(self, given: list[Any], pick: Any) -> Array:
        tightest = given[0]
        for each in given[1:]:
            tightest = pick(tightest, each)
        if not isinstance(tightest, xr.DataArray):
            return np.asarray(tightest, np.float64)
        like = self.field.isel(member=0, drop=True) if self.members else self.field
        full = tightest.drop_vars(list(tightest.coords)).broadcast_like(like.drop_vars(list(like.coords)))
        return self.flat(full).astype(np.float64)

    def flat(self, array: xr.DataArray) -> Array:
        """`(batch, cells)`, or `(batch, cells, last)` with the rank, or the members that are one distribution, last."""
        last = [dim for dim in ("rank",) if dim in array.dims and dim not in self.field.dims]
        last += ["member"] if self.members and "member" in array.dims else []
        ordered = array.transpose(*self.outer, *self.dims, *last)
        tail = tuple(array.sizes[dim] for dim in last)
        return ordered.values.reshape(prod(self.batch), self.cells, *tail)

    @property
    def cells(self) -> int:
        return prod(self._sizes)

    def shaped(self, values: Array, like: xr.DataArray) -> xr.DataArray:
        """Back to the dims, order and coordinates of `like`, in its dtype if that is a float."""
        kind = like.dtype if like.dtype.kind == "f" else np.dtype("float32")
        last = [dim for dim in ("rank", "member") if dim in like.dims and dim not in (*self.outer, *self.dims)]
        ordered = like.transpose(*self.outer, *self.dims, *last)
        full = values.reshape(ordered.shape).astype(kind)
        return ordered.astype(kind).copy(data=full).transpose(*like.dims)

    def lines(self, values: Array, dim: str) -> Array:
        """`(batch, cells)` with one dim's cells last: (batch, other cells, size)."""
        full = values.reshape(*values.shape[:1], *self._sizes)
        return np.moveaxis(full, 1 + self._along(dim), -1)

    def unlined(self, values: Array, dim: str) -> Array:
        """The reverse of `lines`."""
        return np.moveaxis(values, -1, 1 + self._along(dim)).reshape(len(values), -1)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(self.field.sizes[dim] for dim in self.dims)

    def _along(self, dim: str) -> int:
        if dim not in self.dims:
            raise HandshakeError(
                f"smoothing goes along {dim!r}, which no law reduces",
                allowed=", ".join(self.dims),
                advice="smooth along a dim of the law",
            )
        return self.dims.index(dim)
