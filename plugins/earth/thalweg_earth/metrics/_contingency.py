"""Hits, misses and false alarms at every threshold, in one pass over the data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import AfterValidator, Field, FiniteFloat, PositiveInt
from thalweg import Field as SignatureField
from thalweg import Metric, OptionError, Signature, Totals, chosen, pair

from ._fields import fits, infinite, missing, plane, points
from ._sums import sums

OUTCOMES = ("hits", "misses", "false_alarms")


def _increasing(thresholds: tuple[float, ...]) -> tuple[float, ...]:
    if any(not low < high for low, high in pairwise(thresholds)):
        raise ValueError("must increase, each once")
    return thresholds


Thresholds = Annotated[
    tuple[FiniteFloat, ...],
    Field(min_length=1, description="an event is a value at or above it, in the field's units; increasing"),
    AfterValidator(_increasing),
]
Empty = Literal["zero", "nan"]


def told_apart(thresholds: tuple[float, ...], given: Signature, variable: str) -> SignatureField:
    """The field to score; raises `OptionError` unless it can take values on both sides of every threshold."""
    field = chosen(given, variable)
    low, high = field.bounds or (-np.inf, np.inf)
    outside = [each for each in thresholds if not low < each <= high]
    if outside:
        raise OptionError(
            f"thresholds {outside!r} do not tell values of {field.name!r} apart",
            allowed=f"above {low:g}, up to {high:g} {field.units}",
            advice="give thresholds in the units of the field as it is scored",
        )
    return field


class Contingency(Metric):
    """A ratio of hits, misses and false alarms, which are counted in int64 at every threshold.

    A point that is missing in the estimate or the truth counts nowhere; an estimate that is infinite is wrong, whatever
    the truth. A score of which nothing was counted (0/0) is NaN; `empty: zero` makes it 0, as some published tables do.
    """

    example: ClassVar[Mapping[str, Any]] = {"thresholds": [0.3, 0.6]}

    thresholds: Thresholds
    variable: str = Field("", description="the field that is scored; may be left out where there is only one")
    pool: PositiveInt = Field(
        1,
        description="side of the squares of cells whose maximum is scored, in cells; a remainder at the edge is "
        "dropped",
    )
    dims: tuple[str, str] | None = Field(None, description="the two dims that are pooled; the last two if null")
    of: Literal["mean", "members"] = Field(
        "mean",
        description="what an ensemble is scored by: its mean, or its members, each counted as an estimate of its own",
    )
    empty: Empty = Field(
        "nan", description="score of 0/0, where nothing was counted: NaN, or 0 as in some published tables"
    )

    def check(self, given: Signature) -> None:
        """Raise `OptionError` or `HandshakeError`."""
        field = told_apart(self.thresholds, given, self.variable)
        if self.pool > 1:
            fits(self.pool, field, given, self.dims)

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Totals]:
        left, right = pair(estimate, truth, variable=self.variable, members=self.of == "members")
        counts = sum(self._counts(each, right) for each in _members(left))
        assert isinstance(counts, xr.DataArray)
        valid = counts.isel(outcome=-1, threshold=0, drop=True)
        return {name: Totals(counts.isel(outcome=i), valid) for i, name in enumerate(OUTCOMES)}

    def _counts(self, left: xr.DataArray, right: xr.DataArray) -> xr.DataArray:
        """Outcomes of one estimate, and how many points were counted."""
        if self.pool > 1:
            left, right = _pooled(left, right, self.pool, plane(right.dims, self.dims))
        return sums(
            partial(count, np.asarray(self.thresholds)),
            left,
            right,
            over=points(right),
            gives={"outcome": len(OUTCOMES) + 1, "threshold": len(self.thresholds)},
            dtype="int64",
        ).assign_coords(threshold=list(self.thresholds))


def _members(estimate: xr.DataArray) -> list[xr.DataArray]:
    """The estimate, or each of its members; a point that one of them lacks is missing in all."""
    if "member" not in estimate.dims:
        return [estimate]
    there = estimate.notnull().all("member") if estimate.dtype.kind == "f" else None
    kept = estimate if there is None else estimate.where(there)
    return [kept.isel(member=member, drop=True) for member in range(kept.sizes["member"])]


def ratio(above: xr.DataArray, below: xr.DataArray, empty: Empty) -> xr.DataArray:
    """`above / below`: infinite where only `below` is 0, `empty` where both are, NaN where no point was there."""
    value = above / below
    return value if empty == "nan" else value.where((above != 0) | (below != 0), 0.0)


def count(
    thresholds: np.ndarray[Any, Any], estimate: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Hits, misses, false alarms and valid points: `(rows, points) x 2 -> (rows, 4, thresholds)`, int64."""
    absent = missing(estimate, truth)
    events = np.empty((2, len(thresholds), *truth.shape), bool)
    for flags, field in zip(events, (estimate, truth), strict=True):
        np.greater_equal(field, levels(thresholds, field.dtype)[:, None, None], out=flags)
        if absent is not None:
            flags &= ~absent
    wild = infinite(estimate)
    if wild is not None:
        np.copyto(events[0], ~events[1] if absent is None else ~events[1] & ~absent, where=wild)
    # One bit per event: counting set bits reads an eighth of what adding up booleans would.
    bits = np.packbits(events, axis=-1)
    if bits.shape[-1] % 8 == 0:
        bits = bits.view(np.uint64)
    expected, observed = np.bitwise_count(bits).sum(-1, dtype=np.int64)
    hits = np.bitwise_count(bits[0] & bits[1]).sum(-1, dtype=np.int64)
    valid = truth.shape[1] - (0 if absent is None else np.count_nonzero(absent, axis=-1))
    return np.stack([hits, observed - hits, expected - hits, np.broadcast_to(valid, hits.shape)]).transpose(2, 0, 1)


def levels(thresholds: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The thresholds in a field's own type: no wider copy of it is made, and a float32 0.7 is at the threshold 0.7."""
    if dtype.kind == "f":
        own: np.ndarray[Any, Any] = thresholds.astype(dtype)
        return own
    whole: np.ndarray[Any, Any] = np.ceil(thresholds)
    if dtype.kind in "iu" and np.iinfo(dtype).min <= whole[0] and whole[-1] <= np.iinfo(dtype).max:
        whole = whole.astype(dtype)
    return whole


def _pooled(
    estimate: xr.DataArray, truth: xr.DataArray, size: int, dims: tuple[str, str]
) -> tuple[xr.DataArray, xr.DataArray]:
    valid = [each.notnull() for each in (estimate, truth) if each.dtype.kind == "f"]
    either = valid[0] if len(valid) == 1 else valid[0] & valid[1] if valid else None
    found = []
    for each in (estimate, truth):
        if either is not None:
            # A missing cell is below every threshold; a square of nothing else is missing again.
            wide = each.astype(np.result_type(each.dtype, np.float32))
            # An estimate that is infinite, to either side, is the largest of its square, and counts as wrong.
            wide = wide.where(wide > -np.inf, np.inf) if each is estimate else wide
            each = wide.where(either, -np.inf)
        each = each.drop_vars([name for name, at in each.coords.items() if set(at.dims) & set(dims)])
        # xarray's own types say `max` is not there: it is added when the class is made.
        largest: Any = each.coarsen(dict.fromkeys(dims, size), boundary="trim")
        pooled = largest.max()
        found.append(pooled if either is None else pooled.where(pooled > -np.inf))
    return found[0], found[1]
