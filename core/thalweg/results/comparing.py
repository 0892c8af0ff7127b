"""Scores of several estimates on the points that all of them answered, and paired differences with intervals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..components import Metric, Parts
from ..components.calls import call
from ..components.totals import Totals
from ..errors import CompareError, ThalwegError
from ..samples import Prepared
from ..samples.elements import has_samples, owners
from ..stores.arrays import reading
from .answered import answered
from .bootstrap import FEW, Series, half_width, length, weights
from .estimates import estimate_at
from .records import Record, entries
from .scoring import Tally, finish, tally
from .sums import Sums

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]
Row = tuple[str, str]
"""A label of a metric and its options."""


@dataclass(frozen=True)
class Side:
    """A column of a comparison: a variant of a run, its records, and the stages that it can be scored from."""

    title: str
    variant: str
    records: tuple[Record, ...]
    stores: Mapping[str, Any]

    @cached_property
    def sums(self) -> Sums:
        return Sums(str(self.stores["sums"]))

    @property
    def rows(self) -> dict[Row, Record]:
        """The first record of each metric."""
        found: dict[Row, Record] = {}
        for each in self.records:
            if each.lead is None:
                found.setdefault((each.metric, each.options), each)
        return found

    def estimate(self, at: Array) -> xr.Dataset:
        """The estimates of some samples, in memory."""
        return estimate_at(str(self.stores["estimates"][self.variant]), [int(each) for each in at])

    def truth(self, at: Array) -> xr.Dataset:
        """The truth of some samples, in memory."""
        prepared = Prepared(*(str(self.stores[name]) for name in ("ingest", "preprocess", "index")))
        with reading(prepared.preprocess, prepared.ingest, prepared.index):
            return prepared.samples("test").truth([int(each) for each in at])


def sides_of(title: str, records: Sequence[Record], stores: Mapping[str, Any]) -> Iterator[Side]:
    """The columns of a run: its variants, in their order."""
    for variant in dict.fromkeys(each.variant for each in records):
        yield Side(title, variant, tuple(each for each in records if each.variant == variant), stores)


@dataclass(frozen=True)
class Difference:
    """How much a score is above that of the first column, on the same samples, and half the width of the interval."""

    row: str
    value: float
    half: float
    block: int
    blocks: float

    @property
    def few(self) -> bool:
        """Whether the interval rests on too few blocks to be trusted."""
        return self.blocks < FEW


@dataclass(frozen=True)
class Comparison:
    """Columns scored on what all of them answered."""

    sides: tuple[Side, ...]
    samples: int
    """Test windows that all have."""
    read_again: int
    """Samples that were scored again, since not all had answered the same points of them."""
    apart: Mapping[Row, str]
    """Metrics whose columns are each scored on their own points, and why."""
    differences: Mapping[int, Mapping[Row, tuple[Difference, ...]]]
    """By the number of a column, against the first."""


def compared(sides: Sequence[Side], *, registry: Parts, intervals: bool = True) -> Comparison:
    """Columns on shared samples and points. Raises `CompareError` where they were scored on different truths."""
    at = _matched(sides)
    _same_truth(sides, at)
    same = all(len(each) == side.sums.data.sizes["sample"] for each, side in zip(at, sides, strict=True))
    work = _Shared(tuple(sides), at, registry)
    if same and not work.unequal.any() and not intervals:
        return Comparison(tuple(sides), len(at[0]), 0, {}, {})
    apart: dict[Row, str] = {}
    differences: dict[int, dict[Row, tuple[Difference, ...]]] = {}
    made = {i: list(side.records) for i, side in enumerate(sides)}
    changed = not same or bool(work.unequal.any())
    for row in dict.fromkeys(row for side in sides for row in side.rows if row[1]):
        having = [i for i, side in enumerate(sides) if row in side.rows]
        if len(having) < 2 or row[0].startswith("violation/"):
            continue
        try:
            metric, tallies = work.tallies(row, having)
        except ThalwegError as error:
            if changed:
                apart[row] = error.given
            continue
        if changed:
            for i in having:
                made[i] = _renewed(made[i], row, metric, tallies[i])
        if intervals:
            first, *others = having
            for i in others:
                pair = tallies[first], tallies[i]
                differences.setdefault(i, {})[row] = tuple(difference(metric, *pair, keys=work.keys))
    after = tuple(replace(side, records=tuple(made[i])) for i, side in enumerate(sides))
    return Comparison(after, len(at[0]), int(work.unequal.sum()), apart, differences)


def _matched(sides: Sequence[Side]) -> list[Array]:
    """Of each side, the numbers of the samples that all have, in one order. Raises `CompareError` if there are none."""
    named = [_names(side.sums) for side in sides]
    if any(each is None for each in named):
        sizes = {side.sums.data.sizes["sample"] for side in sides}
        if len(sizes) > 1:
            raise CompareError(
                f"the runs have {', '.join(map(str, sorted(sizes)))} test samples, which have no time or name",
                allowed="runs of one test period",
                advice="compare runs of the same `split`",
            )
        return [np.arange(sizes.pop())] * len(sides)
    known = cast("list[list[str]]", named)
    common = set(known[0]).intersection(*known[1:])
    if not common:
        raise CompareError(
            "the runs have no test sample in common",
            allowed="runs whose test periods overlap",
            advice="give them one test period in `split`",
        )
    order = [each for each in known[0] if each in common]
    places = [{name: i for i, name in enumerate(each)} for each in known]
    return [np.array([place[name] for name in order]) for place in places]


def _names(sums: Sums) -> list[str] | None:
    """What identifies each sample in any run; None if nothing does."""
    keys = sums.keys
    plain = [str(name) for name, each in keys.variables.items() if each.dims == ("sample",)]
    rows = zip(*(keys[name].values.astype(str) for name in sorted(plain)), strict=True)
    names = ["|".join(each) for each in rows]
    return names if names and len(set(names)) == len(names) else None


def _same_truth(sides: Sequence[Side], at: Sequence[Array]) -> None:
    first, *others = [side.sums.truth() for side in sides]
    for side, own, numbers in zip(sides[1:], others, at[1:], strict=True):
        for name in sorted({*first, *own}):
            pair = [each[name].values[where] for each, where in ((first, at[0]), (own, numbers)) if name in each]
            alike = len(pair) == 2 and pair[0].shape == pair[1].shape
            wrong = int((pair[0] != pair[1]).reshape(len(numbers), -1).any(1).sum()) if alike else len(numbers)
            if wrong:
                raise CompareError(
                    f"the truths of {name!r} in {sides[0].title} and {side.title} differ in {wrong} of {len(numbers)}"
                    " test samples",
                    allowed="runs that were scored on the same data: source, preprocess, leads and units",
                    advice="make the runs' `ingest` and `preprocess` alike, or compare each with its own kind",
                )


@dataclass(frozen=True)
class _Shared:
    sides: tuple[Side, ...]
    at: list[Array]
    registry: Parts

    @cached_property
    def keys(self) -> xr.Dataset:
        keys = self.sides[0].sums.keys
        return keys.isel(sample=self.at[0]) if "sample" in keys.dims else keys

    @cached_property
    def unequal(self) -> Array:
        """Of which samples not all sides answered the same points."""
        found = np.zeros(len(self.at[0]), bool)
        first, *others = (
            {name: parts["which"].values[numbers] for name, parts in side.sums.answered(side.variant).items()}
            for side, numbers in zip(self.sides, self.at, strict=True)
        )
        for other in others:
            for name, which in first.items():
                found |= (which != other[name]).reshape(len(found), -1).any(1)
        return found

    def tallies(self, row: Row, having: Sequence[int]) -> tuple[Metric, dict[int, dict[str, Totals]]]:
        """The metric, and of each side its totals per sample on shared points. Raises `ThalwegError` if it has none."""
        label, options = row
        metric = self.registry.make("metrics", json.loads(options))
        if not isinstance(metric, Metric):
            raise CompareError(f"{label} takes all data at once")
        found = {}
        for i in having:
            kept = self.sides[i].sums.tallies(self.sides[i].variant)
            if label not in kept:
                raise CompareError(f"{label} adds up samples by itself")
            found[i] = {
                name: Totals(each.sum.isel(sample=self.at[i]), each.count.isel(sample=self.at[i]))
                for name, each in kept[label].items()
            }
        for chunk in self._chunks():
            for i, data in zip(range(len(self.sides)), self._joint(chunk), strict=True):
                if i in found:
                    part = call(metric, tally, metric, *data)
                    for name, each in part.items():
                        _put(found[i][name], each, chunk)
        return metric, found

    def _chunks(self) -> Iterator[Array]:
        size = min(int(side.stores["batch"]) for side in self.sides)
        where = np.flatnonzero(self.unequal)
        return iter([where[i : i + size] for i in range(0, len(where), size)])

    def _joint(self, chunk: Array) -> list[tuple[xr.Dataset, xr.Dataset]]:
        """Estimate and truth of each side, with the truth only where all of them answered."""
        estimates = [side.estimate(at[chunk]) for side, at in zip(self.sides, self.at, strict=True)]
        truth = self.sides[0].truth(self.at[0][chunk])
        masked, of = {}, owners(truth)
        for name, array in truth.data_vars.items():
            if has_samples(array, of):
                there = answered(estimates[0], array)
                for each in estimates[1:]:
                    there = there & answered(each, array)
                masked[name] = array if there.all() else array.where(there.variable)
        shared = truth.assign(masked)
        coords = [{n: c for n, c in shared.coords.items() if "sample" in c.dims} for _ in estimates]
        return [(each.assign_coords(own), shared) for each, own in zip(estimates, coords, strict=True)]


def _put(into: Totals, part: Totals, at: Array) -> None:
    for whole, some in ((into.sum, part.sum), (into.count, part.count)):
        own = some if "sample" in some.dims else some.expand_dims(sample=len(at))
        own = own.broadcast_like(whole.isel(sample=at)) if set(own.dims) != set(whole.dims) else own
        whole.values[at] = own.transpose(*whole.dims).values


def _renewed(records: Sequence[Record], row: Row, metric: Metric, totals: Tally) -> list[Record]:
    """Records with the values that a metric has on shared points. Their coverage stays: it is what is shown beside."""
    score = call(metric, finish, metric, totals)
    parts = {(): score} | {(("statistic", name),): each for name, each in score.beside.items()}
    values: dict[Any, tuple[float, float]] = {}
    for first, each in parts.items():
        counts = each.counts or (None, None)
        for entry, value, count in entries(each.overall, counts[1]):
            values[(*first, *entry), None] = float(value), float(count) if count is not None else np.nan
        if "lead" in each.by_lead.dims:
            for entry, line, count in entries(each.by_lead, counts[0]):
                for i, lead in enumerate(line["lead"].values.tolist()):
                    values[(*first, *entry), lead] = float(line[i]), np.nan if count is None else float(count[i])
    return [
        replace(each, value=values[each.entry, each.lead][0], count=values[each.entry, each.lead][1])
        if (each.metric, each.options) == row and (each.entry, each.lead) in values
        else each
        for each in records
    ]


def difference(
    metric: Metric,
    one: Tally,
    other: Tally,
    *,
    keys: xr.Dataset,
    block: int | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Iterator[Difference]:
    """The value of `other` less that of `one`, over all leads, with an interval from blocks of samples.

    `one` and `other` are totals along `sample`, of the same samples; `keys` their coordinates.
    """
    count = next(iter(one.values())).sum.sizes["sample"]
    series = Series.of(keys, count)
    ones, alone = np.ones((1, count)), np.ones((count, count)) - np.eye(count)
    whole = _differences(metric, one, other, ones)
    left_out = _differences(metric, one, other, alone) if count > 1 else {}
    plans: dict[int, tuple[Mapping[str, Array], float]] = {}
    for row, value in whole.items():
        influence = count * value[0] - (count - 1) * left_out[row] if count > 1 else np.zeros(count)
        size = block or length(influence, series)
        if size not in plans:
            drawn, blocks = weights(series, size, draws=draws, seed=seed)
            plans[size] = _differences(metric, one, other, drawn), blocks
        found, blocks = plans[size]
        yield Difference(row, float(value[0]), float(half_width(found[row][:, None], blocks)[0]), size, blocks)


def _differences(metric: Metric, one: Tally, other: Tally, weight: Array) -> dict[str, Array]:
    """Differences of every entry of a score, `(draw,)`, where each sample counts as often as `weight` says."""
    values = [_values(metric, each, weight) for each in (one, other)]
    return {row: values[1][row] - values[0][row] for row in values[0]}


def _values(metric: Metric, totals: Tally, weight: Array) -> dict[str, Array]:
    import xarray as xr

    drawn = xr.DataArray(weight, dims=("draw", "sample"))
    weighed = {
        name: Totals(xr.dot(drawn, each.sum, dim="sample"), xr.dot(drawn, each.count, dim="sample"))
        for name, each in totals.items()
    }
    if metric.overall == "mean":
        value = call(metric, metric.value, {name: each.mean() for name, each in weighed.items()})
        value = value.mean([dim for dim in value.dims if dim == "lead"], skipna=False)
    else:
        value = call(metric, metric.value, {name: each.over("lead").mean() for name, each in weighed.items()})
    found = {}
    for entry, each, _ in entries(value, None, kept=("draw",)):
        found["/".join(f"{key:g}" if isinstance(key, float) else key for _, key in entry)] = each.values
    return found
