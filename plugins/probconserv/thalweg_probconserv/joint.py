"""All laws of one variable as one sparse system over the cells that any of them reduces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import HandshakeError, Law, LinearLaw, Rows

from .laws._inequality import BoundedLaw
from .laws.monotone import Monotone

Array = NDArray[Any]


def grouped(estimate: xr.Dataset, laws: tuple[Law, ...]) -> dict[str, list[Law]]:
    """Laws by the variable that they are about. Raises `HandshakeError` for what is held nowhere here."""
    groups: dict[str, list[Law]] = {}
    for law in laws:
        if isinstance(law, LinearLaw):
            name = law.rows(estimate).variable
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
    """The system of one variable: batch axes first, flattened into one, then cells in C order of `dims`.

    A law that reduces fewer dims than another of the same variable holds at every index of the others, so it has that
    many times its rows.
    """

    field: xr.DataArray
    group: list[Law]
    context: xr.Dataset
    members: bool
    """Whether the members are one distribution, and their dim the last axis."""

    @cached_property
    def linear(self) -> list[tuple[LinearLaw, Rows]]:
        grid = self.field.to_dataset()
        return [(law, law.rows(grid)) for law in self.group if isinstance(law, LinearLaw)]

    @cached_property
    def monotone(self) -> Monotone | None:
        found = [law for law in self.group if isinstance(law, Monotone)]
        if found and (self.linear or self.members or len(found) > 1):
            raise HandshakeError(
                f"{found[0].name} is held together with other laws of order or of rows, or on members as one",
                allowed="one such law, with bounds beside it",
                advice="leave one out, or hold it by another enforcer",
            )
        return found[0] if found else None

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """The dims that any law reduces, in the field's order."""
        reduced = {dim for _, rows in self.linear for dim in rows.dims}
        reduced |= {law.dim for law in self.group if isinstance(law, Monotone)}
        return tuple(str(dim) for dim in self.field.dims if dim in reduced)

    @cached_property
    def outer(self) -> tuple[str, ...]:
        apart = {*self.dims, *(("member",) if self.members else ())}
        return tuple(str(dim) for dim in self.field.dims if dim not in apart)

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.field.sizes[dim] for dim in self.outer)

    @cached_property
    def count(self) -> int:
        return 0 if self.matrix is None else int(self.matrix.shape[0])

    @cached_property
    def matrix(self) -> Any:
        """All rows `(k, cells)`, sparse; None without a linear law."""
        from scipy.sparse import vstack

        parts = [
            self.spread(rows, {dim: slice(0, self.field.sizes[dim]) for dim in self.dims}) for _, rows in self.linear
        ]
        return vstack(parts, format="csr") if parts else None

    def spread(self, rows: Rows, region: dict[str, slice]) -> Any:
        """The rows of one law over a region of all dims."""
        from scipy.sparse import csr_array, eye_array, kron

        matrix = rows.block({dim: region[dim] for dim in rows.dims})
        others = self.others(rows)
        whole = [self.field.sizes[dim] for dim in others]
        if others:
            # Columns of the identity that the region holds: every row is there in every region.
            at = np.arange(prod(whole)).reshape(whole)[tuple(region[dim] for dim in others)].ravel()
            matrix = csr_array(kron(matrix, eye_array(prod(whole), format="csc")[:, at], format="csr"))
        own = [*rows.dims, *others]
        sizes = {dim: region[dim].stop - region[dim].start for dim in self.dims}
        numbers = np.arange(prod(sizes.values())).reshape(tuple(sizes.values()))
        place = numbers.transpose([self.dims.index(dim) for dim in own]).ravel()
        return csr_array((matrix.data, place[matrix.indices], matrix.indptr), shape=matrix.shape)

    def others(self, rows: Rows) -> tuple[str, ...]:
        return tuple(dim for dim in self.dims if dim not in rows.dims)

    @cached_property
    def owners(self) -> list[LinearLaw]:
        """The law of each row."""
        repeats = [
            (law, rows.count * prod(self.field.sizes[d] for d in self.others(rows))) for law, rows in self.linear
        ]
        return [law for law, count in repeats for _ in range(count)]

    @property
    def noise(self) -> Array:
        return np.array([law.noise for law in self.owners])

    def targets(self) -> Array:
        """`(batch, k)`."""
        parts = [self.target(law, rows) for law, rows in self.linear]
        if not parts:
            return np.empty((prod(self.batch), 0))
        full = [np.broadcast_to(each.values, (*self.batch, each.shape[-1])) for each in parts]
        return np.concatenate(full, axis=-1).reshape(prod(self.batch), -1).astype(np.float64)

    def target(self, law: LinearLaw, rows: Rows) -> xr.DataArray:
        """Targets of one law, with an axis for each outer dim and one for its rows."""
        others = self.others(rows)
        found = self.known(law, rows)
        foreign = [str(dim) for dim in found.dims if dim not in (*self.outer, *others, "row")]
        if foreign:
            raise HandshakeError(
                f"the targets of {law.name} have dims {found.dims!r}",
                allowed=f"row and dims of {self.field.name!r} that the law does not reduce: "
                f"{', '.join((*self.outer, *others))}",
                advice="give one target for each row of a sample",
            )
        found = found.reset_coords(drop=True).drop_vars(list(found.coords), errors="ignore")
        found = found.expand_dims({dim: self.field.sizes[dim] for dim in others if dim not in found.dims})
        found = found.expand_dims([dim for dim in self.outer if dim not in found.dims])
        ordered = found.transpose(*self.outer, "row", *others)
        last = prod(ordered.shape[len(self.outer) :])
        flat = ordered.data.reshape(*ordered.shape[: len(self.outer)], last)
        return xr.DataArray(flat, dims=(*self.outer, "system"))

    def known(self, law: LinearLaw, rows: Rows) -> xr.DataArray:  # noqa: ARG002
        """What the law says of its targets."""
        return law.targets(self.context)

    def limits(self) -> tuple[Array, Array] | None:
        """The tightest lower and upper bound, (batch, cells) or numbers; None if there is none."""
        bounds = [law.limits(self.context) for law in self.group if isinstance(law, BoundedLaw)]
        if not bounds:
            return None
        lower, upper = (
            self._limit([pair[i] for pair in bounds], pick) for i, pick in ((0, np.maximum), (1, np.minimum))
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
