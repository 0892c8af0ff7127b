"""Estimates that break a law, and estimates that obey it: what shows that a check can fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..components import Law, LinearLaw
from .report import ensure

EPS = float(np.finfo(np.float32).eps)

SLACK = 16.0
"""How much more than one rounding of each value may be left of a residual."""


def candidates(fields: xr.Dataset) -> Iterator[xr.Dataset]:
    """The fields as they are, then below zero, stretched, shifted, and of noise."""
    noise = np.random.default_rng(5)
    rough = {str(name): noise.normal(size=each.shape) for name, each in fields.data_vars.items()}
    yield fields
    yield _changed(fields, lambda name, values: -2 * values - 0.1 * rough[name] ** 2)
    yield _changed(fields, lambda name, values: 4 * values + 1)  # noqa: ARG005
    yield _changed(fields, lambda name, values: values - 3)  # noqa: ARG005
    yield _changed(fields, lambda name, values: values + 2 * rough[name])
    yield _changed(fields, lambda name, values: 30 * (values + rough[name]))


def _changed(fields: xr.Dataset, change: Any) -> xr.Dataset:
    made = {}
    for name, each in fields.data_vars.items():
        if each.dtype.kind == "f" and not str(name).endswith(("_variance", "_factor")):
            made[name] = each.copy(data=change(str(name), each.values).astype(each.dtype))
    return fields.assign(made)


def violation(law: Law, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> float:
    """The largest absolute residual; NaN says nothing."""
    found = law.residual(fields.copy(deep=True), context.copy(deep=True), grid)
    return max((float(np.nanmax(np.abs(each.values), initial=0.0)) for each in found.data_vars.values()), default=0.0)


def rounding(law: Law, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> float:
    """What rounding the values to single precision may leave of a residual."""
    signs = np.random.default_rng(3)
    wide = _changed(fields.astype("float64"), lambda name, values: values)  # noqa: ARG005
    moved = _changed(wide, lambda name, values: values * (1 + EPS * signs.choice([-1.0, 1.0], values.shape)))  # noqa: ARG005
    try:
        one, other = (law.residual(each, context.copy(deep=True), grid) for each in (wide, moved))
    except (TypeError, ValueError, KeyError):
        return 0.0
    changes = (np.abs(each.values - other[name].values) for name, each in one.data_vars.items())
    return SLACK * max((float(np.nanmax(each, initial=0.0)) for each in changes), default=0.0)


def broken(law: Law, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> bool:
    """Whether the residual is far more than rounding."""
    return violation(law, fields, context, grid) > 100 * rounding(law, fields, context, grid)


def breaking(laws: Sequence[Law], fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset | None:
    """Fields that break every one of these laws; None if no candidate does."""
    for each in candidates(fields):
        try:
            if all(broken(law, each, context, grid) for law in laws):
                return each
        except Exception:  # A law need not know what to say of any field.
            continue
    return None


def obeying(laws: Sequence[Law], fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset | None:
    """Fields that obey every one of these laws: a candidate, or the nearest to `fields` for linear laws."""
    for each in candidates(fields):
        try:
            if all(violation(law, each, context, grid) <= rounding(law, each, context, grid) for law in laws):
                return each
        except Exception:
            continue
    linear = [law for law in laws if isinstance(law, LinearLaw)]
    return _nearest(linear, fields, context, grid) if len(linear) == len(laws) else None


def _nearest(laws: Sequence[LinearLaw], fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
    r"""$x - G^+ (G x - b)$, variable by variable, with the rows of all laws."""
    made = fields
    for name in {law.rows(grid).variable for law in laws}:
        matrices, residuals = [], []
        dims: tuple[str, ...] = ()
        for law in laws:
            rows = law.rows(grid)
            if rows.variable == name:
                dims = rows.dims
                matrices.append(rows.block({dim: slice(0, fields.sizes[dim]) for dim in dims}).toarray())
                left = law.residual(fields, context, grid)[name].transpose(..., "row").values
                residuals.append(np.nan_to_num(left))
        array = fields[name].transpose(..., *dims)
        inverse = np.linalg.pinv(np.concatenate(matrices))
        change = np.concatenate(residuals, axis=-1) @ inverse.T
        moved = array.copy(data=(array.values - change.reshape(array.shape)).astype(array.dtype))
        made = made.assign({name: moved.transpose(*fields[name].dims)})
    return made


def obeyed(law: Law, held: xr.Dataset, given: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> None:
    """Fail unless what is left of a law's residual is little beside what it was, or rounding, and still a number."""
    before, left = violation(law, given, context, grid), violation(law, held, context, grid)
    left_over = max(1e-4 * before, rounding(law, held, context, grid))
    for name in given.data_vars:
        if name in held and held[name].shape == given[name].shape:
            gone = np.isfinite(given[name].values) & ~np.isfinite(held[name].values)
            ensure(not gone.any(), f"{law.name}: {int(gone.sum())} values of {name!r} are no longer finite")
    residual, was = law.residual(held, context, grid), law.residual(given, context, grid)
    for name, each in residual.data_vars.items():
        lost = np.isfinite(was[name].values).sum() - np.isfinite(each.values).sum()
        ensure(lost <= 0, f"{law.name}: {lost} values of the residual of {name} are no longer finite")
    ensure(left <= left_over, f"{law.name} is left with a residual of {left:.3g}, which was {before:.3g}")
