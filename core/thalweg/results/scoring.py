"""From statistics to a score: sums and counts per chunk, added up, divided once.

    statistics(estimate, truth) -> (sum, count) per sample and lead -> mean -> value

Sums and counts of disjoint chunks add, so a score does not depend on how the data were cut. Integers and booleans add
up in int64: counts are exact at any size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..components.totals import Totals
from ..errors import EstimateError
from ..samples.elements import by_sample, has_samples, owners

if TYPE_CHECKING:
    import xarray as xr

    from ..components import Metric, WholeMetric
    from ..samples.elements import Ints

KEPT = ("sample", "lead")


Tally = Mapping[str, Totals]
"""The totals of a metric's statistics, by name."""


@dataclass(frozen=True)
class Score:
    """A metric's value: `by_lead` along `lead` where there is one, `overall` without it."""

    by_lead: xr.DataArray
    overall: xr.DataArray
    beside: Mapping[str, Score] = field(default_factory=dict)
    """What a metric tells beside its value, by name."""
    counts: tuple[xr.DataArray, xr.DataArray] | None = None
    """How much was counted, by lead and overall; None for a measure that does not say, or counts weights."""


def tally(metric: Metric, estimate: xr.Dataset, truth: xr.Dataset) -> dict[str, Totals]:
    """Totals per sample and lead of a metric's statistics; lazy where its arguments are.

    A statistic given as a field per point is added up over the truth's dims other than `sample` and `lead`;
    points that are NaN are not counted. Elements along a ragged dim are added up within the sample that they belong to.
    Of `Totals` a sum of which nothing was counted is 0, also where it is NaN. A dim that the statistic brings itself
    (threshold, bin) is kept. Raises `EstimateError` for a mean over elements of several samples.
    """
    of = owners(truth)
    points = {str(dim) for array in truth.data_vars.values() for dim in array.dims} - {*KEPT, *of}
    found = {}
    given = metric.statistics(estimate, truth)
    if not isinstance(given, Mapping) or not given:
        raise EstimateError(
            f"`statistics` of {metric.name} gives {type(given).__name__ if given else 'nothing'}",
            allowed="fields or `Totals` by name, one or more",
            advice="return what `value` makes a score from",
        )
    for name, each in given.items():
        if of and not isinstance(each, Totals) and not has_samples(each, of):
            raise EstimateError(
                f"{metric.name} makes one value of {name!r} for all samples of a batch",
                allowed=f"a statistic along sample or {' or '.join(of)}, or `Totals`",
                advice="keep the dims that `thalweg.kept_dims` names",
            )
        found[name] = _of_samples(_totals(each, points), of, count=truth.sizes.get("sample", 1))
    return found


def _of_samples(totals: Totals, of: Mapping[str, Ints], *, count: int) -> Totals:
    return Totals(by_sample(totals.sum, of, count=count), by_sample(totals.count, of, count=count)) if of else totals


def _totals(statistic: Any, points: set[str]) -> Totals:
    import numpy as np
    import xarray as xr

    if isinstance(statistic, Totals):
        return _emptied(statistic).over(*points)
    dims = [dim for dim in statistic.dims if dim in points]
    if statistic.dtype.kind == "f":
        missing = np.isnan(statistic.data)
        # Filled first: a sum over no dim would keep a NaN, which spoils the sum over samples.
        filled = statistic.copy(data=np.where(missing, 0.0, statistic.data.astype("float64")))
        return Totals(filled.sum(dims, skipna=False), statistic.copy(data=~missing).sum(dims, dtype="int64"))
    size = int(np.prod([statistic.sizes[dim] for dim in dims], dtype="int64"))
    total = statistic.sum(dims, dtype="int64")
    return Totals(total, xr.full_like(total, size))


def _emptied(totals: Totals) -> Totals:
    """With 0 for the sums of nothing: a metric that averages itself may leave NaN there, which would spoil all."""
    import numpy as np

    if totals.sum.dtype.kind != "f":
        return totals
    if totals.sum.dims == totals.count.dims:
        return Totals(totals.sum.copy(data=np.where(totals.count.data > 0, totals.sum.data, 0.0)), totals.count)
    return Totals(totals.sum.where(totals.count > 0, 0.0), totals.count)


def concatenate(parts: Sequence[Tally], dim: str = "sample") -> dict[str, Totals]:
    """Totals of chunks that follow one another along `dim`; a statistic that has no such dim is added up."""
    import xarray as xr

    if len(parts) == 1:
        return dict(parts[0])
    found = {}
    for name, each in parts[0].items():
        if dim in each.sum.dims:
            sums, counts = ([getattr(part[name], which) for part in parts] for which in ("sum", "count"))
            found[name] = Totals(xr.concat(sums, dim, join="exact"), xr.concat(counts, dim, join="exact"))
        else:
            found[name] = add([{name: part[name]} for part in parts])[name]
    return found


def add(parts: Sequence[Tally]) -> dict[str, Totals]:
    """Totals of chunks of the same samples."""
    total = dict(parts[0])
    for part in parts[1:]:
        total = {name: Totals(each.sum + part[name].sum, each.count + part[name].count) for name, each in total.items()}
    return total


def finish(metric: Metric, totals: Tally) -> Score:
    """The score of a metric from the totals of all its chunks."""
    leads = {name: each.over("sample") for name, each in totals.items()}
    each_lead = {name: each.mean() for name, each in leads.items()}
    by_lead = metric.value(each_lead)
    more = metric.beside(each_lead)
    pooled = {}
    if more or metric.overall != "mean":
        pooled = {name: each.over("sample", "lead").mean() for name, each in totals.items()}
    overall = _over_leads(by_lead) if metric.overall == "mean" else metric.value(pooled)
    counted = next(iter(leads.values()))
    counts = (counted.count, counted.over("lead").count) if counted.count.dtype.kind in "iub" else None
    whole = metric.beside(pooled) if more else {}
    beside = {name: Score(each, whole[name], counts=counts) for name, each in more.items()}
    return Score(by_lead, overall, beside, counts)


def score(metric: Metric | WholeMetric, estimate: xr.Dataset, truth: xr.Dataset) -> Score:
    """The score of `estimate` against `truth`; lazy where they are, and the same under any chunking."""
    from ..components import Metric

    if isinstance(metric, Metric):
        return finish(metric, tally(metric, estimate, truth))
    value = metric.value(estimate, truth)
    return Score(value, _over_leads(value))


def _over_leads(value: xr.DataArray) -> xr.DataArray:
    # A lead without a value marks the mean: a mean of the other leads is not comparable.
    return value.mean([dim for dim in value.dims if dim == "lead"], skipna=False)
