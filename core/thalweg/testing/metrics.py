"""What a metric keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import dask
import dask.base
import numpy as np
import xarray as xr

from ..components import Metric, WholeMetric
from ..components.signature import Signature
from ..components.totals import Totals
from ..errors import ThalwegError
from ..results.scoring import Score, Tally, add, concatenate, finish, score, tally
from ..samples import Samples
from ..samples.elements import has_samples, of_points, owners, taken
from .components import check_component
from .report import Check, ensure
from .scenes import difference, guess, series, windowed

ROUNDING = 1e-12
"""Sums in another order differ by this much of the largest value of a score, at most."""

AnyMetric = Metric | WholeMetric
Whole = tuple[Tally, Score]
"""Totals and score of data in memory that are not cut."""


def example(needs: Signature) -> tuple[xr.Dataset, xr.Dataset]:
    """An estimate and the truth, `(sample, lead, lat, lon)`: six samples of four leads."""
    samples = Samples.of(windowed(series(needs, dims=("lat", "lon"))))
    return guess(samples, slice(0, 6)), samples.truth(slice(0, 6))


def check_chunks(
    metric: AnyMetric,
    estimate: xr.Dataset,
    truth: xr.Dataset,
    chunks: Mapping[str, Any],
    *,
    whole: Whole | None = None,
) -> None:
    """The score, and each count, is the same in dask's chunks; a `Metric` is lazy on them."""
    how = f"in chunks {dict(chunks)}"
    cut = [each.chunk({dim: size for dim, size in chunks.items() if dim in each.dims}) for each in (estimate, truth)]
    if isinstance(metric, WholeMetric):
        _same(score(metric, estimate, truth), score(metric, *cut), how)
        return
    with dask.config.set(scheduler=_refuse):
        lazy = tally(metric, *cut)
    # All at once, so that what statistics share is computed once; dask's `compute` has no types.
    compute: Any = dask.base.compute
    found = compute({name: (each.sum, each.count) for name, each in lazy.items()}, scheduler="synchronous")[0]
    chunked = {name: Totals(*each) for name, each in found.items()}
    _same_totals(metric, whole or _whole(metric, estimate, truth), chunked, how)


def check_cuts(
    metric: Metric, estimate: xr.Dataset, truth: xr.Dataset, cuts: Sequence[int], *, whole: Whole | None = None
) -> None:
    """The score, and each count, is the same when the samples are cut at `cuts`, and each part is tallied by itself."""
    edges = [0, *cuts, truth.sizes["sample"]]
    parts = [slice(low, high) for low, high in pairwise(edges)]
    joined = concatenate([tally(metric, taken(estimate, at), taken(truth, at)) for at in parts])
    _same_totals(metric, whole or _whole(metric, estimate, truth), joined, f"cut at samples {list(cuts)}")


def chunks_do_not_matter(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    """Chunks of all dims at once: two of each tell as much as one for each cell, which take dask longest of all."""
    dims = [str(dim) for dim in estimate.dims]
    try:
        check_chunks(metric, estimate, truth, {dim: max(1, estimate.sizes[dim] * 2 // 3) for dim in dims})
    except Exception:
        # The dim at which it fails alone tells its author more.
        for dim in dims:
            check_chunks(metric, estimate, truth, {dim: -(-estimate.sizes[dim] // 3)})
        raise


def cuts_do_not_matter(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    count = truth.sizes.get("sample", 0)
    if isinstance(metric, Metric) and count:
        whole = _whole(metric, estimate, truth)
        for cuts in ([1], [count - 1], range(1, count, 2)):
            check_cuts(metric, estimate, truth, list(cuts), whole=whole)


def stays_lazy(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    if isinstance(metric, WholeMetric):
        return
    with dask.config.set(scheduler=_refuse):
        made = score(metric, estimate.chunk(), truth.chunk())
    ensure(dask.base.is_dask_collection(made.by_lead), "given dask arrays it returns values in memory")


def scores_by_lead(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    made = score(metric, estimate, truth)
    ensure("sample" not in made.by_lead.dims, f"its value has dims {made.by_lead.dims}: it must not keep samples")
    ensure("lead" not in made.overall.dims, f"its overall value has dims {made.overall.dims}, with 'lead'")


def perfect_is_best(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    if metric.best is None:
        return
    perfect = estimate.assign({name: each for name, each in truth.data_vars.items() if name in estimate})
    value = score(metric, perfect, truth).overall.values
    ensure(np.isfinite(value).any(), f"the truth scores {value}: there is nothing in the example that it can score")
    wrong = ~np.isclose(value, metric.best, rtol=1e-9, atol=1e-9) & np.isfinite(value)
    ensure(
        not wrong.any(), f"the truth scores {value}, not best = {metric.best}; give an example that has what it scores"
    )


def score_is_a_number(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    for name, value in zip(("by lead", "overall"), _values(score(metric, estimate, truth)), strict=True):
        ensure(
            np.isfinite(value).any(), f"the score {name} of an estimate is {value}; give an example that it can score"
        )


def wrong_is_worse(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    """A worse estimate has another score, on the side of `best` that `higher_is_better` says."""
    perfect = estimate.assign({name: each for name, each in truth.data_vars.items() if name in estimate})
    rough = {str(name): np.random.default_rng(17).normal(size=each.shape) for name, each in _floats(estimate)}
    wrong = [estimate] + [
        estimate.assign(
            {
                name: each.copy(data=(each + by * rough[str(name)]).astype(each.dtype))
                for name, each in _floats(estimate)
            }
        )
        for by in (0.3, -1.0, 30.0)
    ]
    # Without a best score the truth need not have one: it has no uncertainty.
    tried = wrong if metric.best is None else [perfect, *wrong]
    values = [score(metric, each, truth).overall.values for each in tried]
    told = [(each != values[0]) & np.isfinite(each) for each in values[1:]]
    ensure(
        any(each.any() for each in told),
        f"{len(values)} estimates, of which none is like another, all score {values[0]}",
    )
    if metric.best is None or metric.higher_is_better is None:
        return
    for each in values[1:]:
        better = each > metric.best + 1e-9 if metric.higher_is_better else each < metric.best - 1e-9
        side = "higher" if metric.higher_is_better else "lower"
        ensure(
            not better.any(),
            f"a wrong estimate scores {each}, which is {side} than best = {metric.best}, and so better",
        )


def order_of_samples_does_not_matter(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    if "sample" in truth.dims:
        order = np.random.default_rng(3).permutation(truth.sizes["sample"])
        turned = [taken(each, order.tolist(), count=len(order)) for each in (estimate, truth)]
        _same(score(metric, estimate, truth), score(metric, *turned), "with samples in another order")


def missing_truth_is_not_counted(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    """What is missing is not there: neither a miss, nor a hit, nor a zero."""
    if not isinstance(metric, Metric) or any(each.dtype.kind != "f" for each in _scored(estimate, truth)):
        return
    for dim in ("sample", "lead", *_additive(metric, estimate, truth)):
        size = truth.sizes.get(dim, 0)
        if size < 2:
            continue
        kept = slice(0, size - 1 if dim in ("sample", "lead") else size // 2)
        present = xr.DataArray(np.arange(size) < kept.stop, dims=dim)
        small = score(metric, *(_kept(each, dim, kept) for each in (estimate, truth)))
        for which, holed in _holed(estimate, truth, present, dim):
            how = f"with {which} missing in a part of {dim!r}, not without that part,"
            if dim == "lead":
                made = score(metric, *holed)
                left, right = small.by_lead, made.by_lead
                # By label: a metric may take several leads together, and have fewer.
                if "lead" in left.coords:
                    found = difference(right.sel(lead=left["lead"]), left, tolerance=ROUNDING)
                    ensure(not found, f"{how} the score by lead is another: {found}")
                    last = right.drop_sel(lead=left["lead"].values).values
                    ensure(np.isnan(last).all(), f"with {which} missing at a lead, the score there is {last}")
                    # Where the metric scores fewer leads, the one that is missing may be none of them.
                    if metric.overall == "mean" and last.size:
                        whole = made.overall.values
                        ensure(np.isnan(whole).all(), f"with {which} missing at a lead, the mean over leads is {whole}")
            else:
                _same(small, score(metric, *holed), how)


def _holed(
    estimate: xr.Dataset, truth: xr.Dataset, present: xr.DataArray, dim: str
) -> Iterator[tuple[str, list[xr.Dataset]]]:
    of = owners(truth)

    def cut(data: xr.Dataset) -> xr.Dataset:
        if dim == "sample":
            whole = {name: each for name, each in data.data_vars.items() if has_samples(each, of)}
        else:
            whole = {name: each for name, each in data.data_vars.items() if dim in each.dims}
        return data.assign({name: each.where(of_points(present, each, of)) for name, each in whole.items()})

    yield "the truth", [estimate, cut(truth)]
    yield "the estimate", [cut(estimate), truth]


def _kept(data: xr.Dataset, dim: str, at: slice) -> xr.Dataset:
    if dim == "sample":
        return taken(data, at)
    return data.isel({dim: at}) if dim in data.dims else data


def _additive(metric: Metric, estimate: xr.Dataset, truth: xr.Dataset) -> list[str]:
    """Dims of space along which the sums and counts of two halves add up to those of the whole."""
    found = []
    for dim in sorted({str(dim) for each in truth.data_vars.values() for dim in each.dims} - {"sample", "lead"}):
        half = truth.sizes[dim] // 2
        if half and all(dim in each.dims for each in _scored(estimate, truth)):
            try:
                parts = [
                    tally(metric, *(each.isel({dim: at}) for each in (estimate, truth)))
                    for at in (slice(0, half), slice(half, None))
                ]
                whole, both = tally(metric, estimate, truth), add(parts)
            except ThalwegError:
                continue
            same = all(
                not difference(getattr(both[name], part), getattr(each, part), tolerance=1e-9)
                for name, each in whole.items()
                for part in ("sum", "count")
            )
            found += [dim] if same else []
    return found


def missing_is_missing_in_either(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    """A point that is NaN in the truth counts as one that is NaN in the estimate does, and spoils no other."""
    if isinstance(metric, WholeMetric) or any(each.dtype.kind != "f" for each in _scored(estimate, truth)):
        return
    flags = np.random.default_rng(11)
    there = {
        name: xr.DataArray(flags.random(each.shape) > 0.1, dims=each.dims)
        | (xr.DataArray(np.arange(each.sizes["sample"]) > 0, dims="sample") if "sample" in each.dims else False)
        for name, each in truth.data_vars.items()
    }
    holed = [each.assign({name: each[name].where(at) for name, at in there.items()}) for each in (estimate, truth)]
    both = score(metric, *holed)
    _same(both, score(metric, holed[0], truth), "with NaN in the estimate, not in both,")
    _same(both, score(metric, estimate, holed[1]), "with NaN in the truth, not in both,")
    known = np.isfinite(score(metric, estimate, truth).overall.values)
    spoiled = known & ~np.isfinite(both.overall.values)
    ensure(not spoiled.any(), "points that are NaN make the whole score NaN: leave them out of sums and counts")


def infinite_is_no_better(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    """An estimate (or a member) that is infinite, in cells, whole leads or whole samples, never has a better score."""
    if metric.higher_is_better is None or any(each.dtype.kind != "f" for each in _scored(estimate, truth)):
        return
    known = score(metric, estimate, truth).overall.values
    for how, at in _parts(estimate, truth):
        for value in (np.inf, -np.inf):
            wild = estimate.assign({name: each.where(~at, value) for name, each in _floats(estimate)})
            with np.errstate(all="ignore"):
                made = score(metric, wild, truth).overall.values
            better = made > known if metric.higher_is_better else made < known
            better &= ~np.isclose(made, known, rtol=1e-9, atol=1e-12)
            ensure(not better.any(), f"with {value} in {how} the estimate scores {made}, before {known}: no better")


def _parts(estimate: xr.Dataset, truth: xr.Dataset) -> Iterator[tuple[str, xr.DataArray]]:
    """Parts of an estimate: its worst cells, others, the last lead and sample; of an ensemble, of one member."""
    name, one = next(iter(_floats(estimate)))
    error = abs(one - truth[name]).reset_coords(drop=True)
    cells = xr.DataArray(np.random.default_rng(23).random(one.shape) < 0.1, dims=one.dims)
    found = [("its worst cells", error > error.median()), ("some cells", cells)]
    for dim in ("sample", "lead"):
        if truth.sizes.get(dim, 0) > 1:
            last = np.arange(truth.sizes[dim]) == truth.sizes[dim] - 1
            found.append((f"the last {dim}", of_points(xr.DataArray(last, dims=dim), one, owners(truth))))
    for how, at in found:
        yield how, at
        if "member" in one.dims:
            yield f"{how} of a member", at & xr.DataArray(np.arange(one.sizes["member"]) == 0, dims="member")


def a_missing_member_is_a_missing_point(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    """An ensemble without one of its members is another ensemble: its score would not be comparable."""
    if isinstance(metric, WholeMetric) or any(each.dtype.kind != "f" for each in _scored(estimate, truth)):
        return
    cells, shift = np.random.default_rng(29), xr.DataArray([-0.1, 0.0, 0.2], dims="member")
    one, whole = estimate, estimate
    for name, each in _floats(estimate):
        members = each if "member" in each.dims else each + shift
        first = xr.DataArray(np.arange(members.sizes["member"]) == 0, dims="member")
        gone = xr.DataArray(cells.random(truth[name].shape) < 0.1, dims=truth[name].dims)
        one, whole = one.assign({name: members.where(~(gone & first))}), whole.assign({name: members.where(~gone)})
    try:
        known = score(metric, whole, truth)
    except ThalwegError:
        return  # It takes no ensembles.
    if "member" in known.overall.dims:
        return  # It scores each member by itself.
    _same(known, score(metric, one, truth), "with NaN in a member, not in all,")


def data_are_left_alone(metric: AnyMetric, estimate: xr.Dataset, truth: xr.Dataset) -> None:
    before = [each.copy(deep=True) for each in (estimate, truth)]
    score(metric, estimate, truth)
    for name, old, new in zip(("the estimate", "the truth"), before, (estimate, truth), strict=True):
        found = difference(old, new)
        ensure(not found and old.attrs == new.attrs, f"it changes {name}: {found or 'attrs'}")


CHECKS: tuple[Check, ...] = (
    data_are_left_alone,
    scores_by_lead,
    score_is_a_number,
    perfect_is_best,
    wrong_is_worse,
    cuts_do_not_matter,
    chunks_do_not_matter,
    order_of_samples_does_not_matter,
    stays_lazy,
    missing_is_missing_in_either,
    missing_truth_is_not_counted,
    infinite_is_no_better,
    a_missing_member_is_a_missing_point,
)


def check_metric(metric: AnyMetric, estimate: xr.Dataset | None = None, truth: xr.Dataset | None = None) -> None:
    """All that a metric keeps, tried on an estimate and a truth in memory (the kit's own if none are given)."""
    check_component(metric)
    if estimate is None or truth is None:
        estimate, truth = example(metric.needs())
    metric.check(Signature.of(estimate))
    for each in CHECKS:
        each(metric, estimate, truth)


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("it reads values; leave them to dask")


def _values(score: Score) -> tuple[Any, Any]:
    return score.by_lead.values, score.overall.values


def _floats(data: xr.Dataset) -> list[tuple[Any, xr.DataArray]]:
    """The estimates themselves: not their variances."""
    found = data.data_vars.items()
    return [(name, each) for name, each in found if each.dtype.kind == "f" and not str(name).endswith("_variance")]


def _scored(estimate: xr.Dataset, truth: xr.Dataset) -> Iterator[xr.DataArray]:
    for name, each in truth.data_vars.items():
        yield each
        yield estimate[name]


def _same(whole: Score, other: Score, how: str) -> None:
    for name in ("by_lead", "overall"):
        found = difference(getattr(other, name).compute(), getattr(whole, name).compute(), tolerance=ROUNDING)
        ensure(not found, f"{how} the score {name.replace('_', ' ')} is another: {found}")


def _whole(metric: Metric, estimate: xr.Dataset, truth: xr.Dataset) -> Whole:
    totals = tally(metric, estimate, truth)
    return totals, finish(metric, totals)


def _same_totals(metric: Metric, whole: Whole, other: Tally, how: str) -> None:
    _same_counts(whole[0], other, how)
    _same(whole[1], finish(metric, other), how)


def _same_counts(whole: Tally, other: Tally, how: str) -> None:
    """Integers are exact. (Sums of floats may cancel: their score is compared.)"""
    for name, each in whole.items():
        for part in ("sum", "count"):
            left, right = getattr(each, part), getattr(other[name], part)
            if left.dtype.kind in "iu":
                found = difference(right.compute(), left.compute())
                ensure(not found, f"{how} the {part} of {name!r} is another: {found}")
