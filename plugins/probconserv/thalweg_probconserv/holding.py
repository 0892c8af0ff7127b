"""From laws on named dims to one system per variable, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import LinearLaw, Rows
from thalweg.components import Law
from thalweg.errors import HandshakeError, ThalwegError

from .engine import update

Array = NDArray[Any]

Covariance = Callable[[str], xr.DataArray | None]

log = logging.getLogger("thalweg.probconserv")


def hold(estimate: xr.Dataset, laws: tuple[Law, ...], *, context: xr.Dataset, covariance: Covariance) -> xr.Dataset:
    """The estimate, conditioned variable by variable on all laws that name it.

    `covariance(name)` gives the variance of a variable, which is then conditioned too; None is the identity, which
    moves the mean only.
    """
    changed: dict[str, xr.DataArray] = {}
    for name, group in _by_variable(estimate, laws).items():
        field = estimate[name]
        dims = tuple(dim for dim in map(str, field.dims) if any(dim in rows.dims for _, rows in group))
        outer = tuple(dim for dim in map(str, field.dims) if dim not in dims)
        batch = tuple(field.sizes[dim] for dim in outer)

        def flat(array: xr.DataArray, outer: tuple[str, ...] = outer, dims: tuple[str, ...] = dims) -> Array:
            ordered = array.transpose(*outer, *dims)
            return ordered.values.reshape(*ordered.shape[: len(outer)], -1)

        def shaped(values: Array, like: xr.DataArray, order: tuple[str, ...] = (*outer, *dims)) -> xr.DataArray:
            kind = like.dtype if like.dtype.kind == "f" else np.dtype("float32")
            ordered = like.transpose(*order)
            full = values.reshape(ordered.shape).astype(kind)
            return ordered.astype(kind).copy(data=full).transpose(*like.dims)

        parts = [_system(law, rows, field=field, dims=dims, outer=outer, context=context) for law, rows in group]
        owners = [law for (law, _), (matrix, _) in zip(group, parts, strict=True) for _ in matrix]
        targets = np.concatenate([np.broadcast_to(each, (*batch, each.shape[-1])) for _, each in parts], axis=-1)
        mean = flat(field)
        variance = covariance(name)
        try:
            found = update(
                mean,
                np.ones(mean.shape) if variance is None else flat(variance),
                rows=np.concatenate([matrix for matrix, _ in parts]),
                targets=targets,
                noise=np.array([law.noise for law in owners]),
            )
        except ThalwegError as error:
            raise error.at(", ".join(law.name for law, _ in group)) from None
        if found.dropped:
            said = ", ".join(f"{row} ({owners[row].name})" for row in found.dropped)
            log.warning("%s: rows %s follow from the others and were dropped", name, said)
        changed[name] = shaped(found.mean, field)
        if variance is not None:
            changed[str(variance.name)] = shaped(found.variance, variance)
    return estimate.assign(changed)


def _by_variable(estimate: xr.Dataset, laws: tuple[Law, ...]) -> dict[str, list[tuple[LinearLaw, Rows]]]:
    groups: dict[str, list[tuple[LinearLaw, Rows]]] = {}
    for law in laws:
        if not isinstance(law, LinearLaw):
            raise HandshakeError(
                f"{law.name} is not a linear law",
                allowed="laws with rows and targets",
                advice="hold it by another enforcer",
            )
        rows = law.rows(estimate)
        groups.setdefault(rows.variable, []).append((law, rows))
    return groups


def _system(
    law: LinearLaw,
    rows: Rows,
    *,
    field: xr.DataArray,
    dims: tuple[str, ...],
    outer: tuple[str, ...],
    context: xr.Dataset,
) -> tuple[Array, Array]:
    """Rows `(k, cells)` over all of `dims`, and targets `(..., k)` with axes for `outer`.

    A law that reduces fewer dims than another of the same variable holds at every index of the others, so it has that
    many times its rows.
    """
    sizes = {dim: field.sizes[dim] for dim in dims}
    matrix = rows.block({dim: slice(0, sizes[dim]) for dim in rows.dims}).toarray()
    others = tuple(dim for dim in dims if dim not in rows.dims)
    repeat = prod(sizes[dim] for dim in others)
    spread = np.einsum("kc,ef->kecf", matrix, np.eye(repeat))
    own = [*rows.dims, *others]
    spread = spread.reshape(rows.count * repeat, *(sizes[dim] for dim in own))
    order = [1 + own.index(dim) for dim in dims]
    full = spread.transpose(0, *order).reshape(rows.count * repeat, -1)

    targets = law.targets(context)
    foreign = [str(dim) for dim in targets.dims if dim not in (*outer, *others, "row")]
    if foreign:
        raise HandshakeError(
            f"the targets of {law.name} have dims {targets.dims!r}",
            allowed=f"row and dims of {field.name!r} that the law does not reduce: {', '.join((*outer, *others))}",
            advice="give one target for each row of a sample",
        )
    targets = targets.expand_dims({dim: sizes[dim] for dim in others if dim not in targets.dims})
    targets = targets.expand_dims([dim for dim in outer if dim not in targets.dims])
    ordered = targets.transpose(*outer, "row", *others)
    return full, ordered.values.reshape(*ordered.shape[: len(outer)], -1)
