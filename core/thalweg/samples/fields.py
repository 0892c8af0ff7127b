"""What most metrics begin with: the field that an option names, and its estimate beside its truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components.signature import Field, Signature
from ..errors import EstimateError, OptionError

if TYPE_CHECKING:
    import xarray as xr


def chosen(given: Signature, variable: str) -> Field:
    """The field that an option `variable` names; the only one where it is empty. Raises `OptionError`."""
    if variable in given:
        return given[variable]
    sure = [each for each in given.fields if not given.is_uncertainty(each.name)]
    if not variable and len(sure) == 1:
        return sure[0]
    raise OptionError(
        f"variable {variable!r} does not say which field to score",
        allowed=", ".join(given.names),
        advice="name one in `variable`",
    )


def pair(
    estimate: xr.Dataset, truth: xr.Dataset, *, variable: str, members: bool = False
) -> tuple[xr.DataArray, xr.DataArray]:
    """The estimate and the truth of a variable, dims in the truth's order.

    An ensemble counts as its mean, and a point of it is missing where any member is (infinite where members are, and
    none is missing); with `members` it is kept, along `member`, last. Raises `EstimateError` where the two do not lie
    on one grid.
    """
    import xarray as xr

    name = chosen(Signature.of(truth), variable).name
    if name not in estimate:
        raise EstimateError(
            f"the estimate has no {name!r}",
            allowed=", ".join(map(str, estimate.data_vars)),
            advice="return it, or score one of these",
        )
    left, right = estimate[name], truth[name]
    if "member" in left.dims and "member" not in right.dims and not members:
        left = _mean(left)
    extra = set(left.dims) - {"member"} if members else set(left.dims)
    if extra != set(right.dims):
        raise EstimateError(
            f"the estimate of {name!r} has dims {left.dims!r}",
            allowed=f"those of the truth, {right.dims!r}",
            advice="return the fields that `wanted` asks for",
        )
    try:
        left, right = xr.align(left, right, join="exact", exclude=["member"], copy=False)
    except ValueError as error:
        raise EstimateError(
            f"the estimate of {name!r} lies on other coordinates than the truth: {error}",
            allowed=f"sizes {dict(right.sizes)!r} and the truth's coordinates",
            advice="keep the coordinates of the inputs, or leave them out",
        ) from error
    return left.transpose(*right.dims, ...), right


def _mean(members: xr.DataArray) -> xr.DataArray:
    """The mean of an ensemble: NaN where a member is missing, infinite where infinite members cancel."""
    mean = members.mean("member", dtype="float64", skipna=False)
    if mean.chunks is None and not mean.isnull().any():
        return mean
    # inf - inf is NaN, which a metric would take for a point without an answer.
    return mean.where(mean.notnull() | members.isnull().any("member"), float("inf"))
