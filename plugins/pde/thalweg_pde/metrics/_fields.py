"""The two fields that a metric compares."""

from __future__ import annotations

import numpy as np
import xarray as xr
from thalweg import KEPT, Field, HandshakeError, Signature, chosen, pair


def known(
    estimate: xr.Dataset, truth: xr.Dataset, *, variable: str, members: bool = False
) -> tuple[xr.DataArray, xr.DataArray]:
    """Estimate and truth in float64, NaN in both where it is in either; an ensemble as its mean unless `members`."""
    left, right = (each.astype("float64") for each in pair(estimate, truth, variable=variable, members=members))
    there = left.notnull() & right.notnull()
    if "member" in there.dims:
        there = there.all("member")
    return left.where(there), right.where(there)


def space(field: Field) -> tuple[str, ...]:
    """Its dims other than sample and lead."""
    return tuple(dim for dim in field.dims if dim not in KEPT)


def across(field: Field, dim: str) -> str:
    """`dim`, or the last dim of space where it is empty. Raises `HandshakeError` if the field has it not."""
    found = space(field)
    if not found or (dim and dim not in found):
        raise HandshakeError(
            f"{field.name!r} has no dim {dim!r}", allowed=", ".join(map(repr, found)), advice="name one in `dim`"
        )
    return dim or found[-1]


def position(field: xr.DataArray, dim: str) -> xr.DataArray:
    """The coordinate along a dim, or the number of the cell where there is none that is a number."""
    numbers = dim in field.coords and field[dim].dtype.kind in "fiu"
    values = field[dim].values if numbers else np.arange(field.sizes[dim])
    return xr.DataArray(values.astype("float64"), dims=dim)


def spread(estimate: xr.Dataset, name: str) -> xr.DataArray:
    """The variance of an estimate: `NAME_variance`, or the unbiased one of its members. Raises `HandshakeError`.

    NaN where it is negative; infinite where members are.
    """
    if f"{name}_variance" in estimate:
        given = estimate[f"{name}_variance"].astype("float64")
        return given.where(given >= 0)
    if estimate[name].sizes.get("member", 1) > 1:
        members = estimate[name].astype("float64")
        found = members.var("member", ddof=1, skipna=False)
        return found.where(found.notnull() | members.isnull().any("member"), np.inf)
    raise _sure(name)


def check_spread(given: Signature, variable: str) -> None:
    """Raise `OptionError` if it is not clear which field to score, `HandshakeError` if it has no uncertainty."""
    field = chosen(given, variable)
    members = given.sizes.get("member", 1) if "member" in field.dims else 1
    if f"{field.name}_variance" not in given and members < 2:
        raise _sure(field.name)


def _sure(name: str) -> HandshakeError:
    return HandshakeError(
        f"the estimate of {name!r} says nothing of its uncertainty",
        allowed=f"{name}_variance, or two members or more",
        advice="score a method with a variance, such as deep-ensemble",
    )


def infinite(*fields: xr.DataArray) -> xr.DataArray:
    """Where any of them is infinite and none is missing: inf - inf is NaN, which would count as no answer."""
    wild, there = fields[0].isnull() & False, fields[0].notnull()
    for each in fields:
        wild, there = wild | (abs(each) == np.inf), there & each.notnull()
    return wild & there
