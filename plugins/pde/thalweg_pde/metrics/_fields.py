"""The two fields that a metric compares."""

from __future__ import annotations

import numpy as np
import xarray as xr
from thalweg import EstimateError, Field, HandshakeError, OptionError, Signature
from thalweg.scoring import KEPT


def chosen(given: Signature, variable: str) -> Field:
    """The field that an option `variable` names; the only one where it is empty. Raises `OptionError`."""
    if variable in given:
        return given[variable]
    if not variable and len(given.fields) == 1:
        return given.fields[0]
    raise OptionError(
        f"variable {variable!r} does not say which field to score",
        allowed=", ".join(given.names),
        advice="name one in `variable`",
    )


def pair(
    estimate: xr.Dataset, truth: xr.Dataset, *, variable: str, members: bool = False
) -> tuple[xr.DataArray, xr.DataArray]:
    """Estimate and truth in float64, NaN in both where it is in either; an ensemble as its mean unless `members`.

    Raises `EstimateError` for an estimate of other dims.
    """
    name = chosen(Signature.of(truth), variable).name
    if name not in estimate:
        raise EstimateError(f"the estimate has no {name!r}", allowed=", ".join(map(str, estimate.data_vars)))
    left, right = estimate[name].astype("float64"), truth[name].astype("float64")
    if "member" in left.dims and not members:
        left = left.mean("member", skipna=False)
    if set(left.dims) - {"member"} != set(right.dims):
        raise EstimateError(
            f"the estimate of {name!r} has dims {left.dims!r}",
            allowed=f"those of the truth, {right.dims!r}",
            advice="a method returns what `wanted` asks for",
        )
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
