"""From what `evaluate` kept of every sample to records, in the order of the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..components import Component, Metric, WholeMetric
from ..components.calls import call
from ..components.totals import Totals
from ..credentials import hidden
from ..samples.elements import by_sample, largest_by_sample, owners
from .records import Coverage, Entry, Record, records_of
from .scoring import Score, Tally, finish

if TYPE_CHECKING:
    import xarray as xr

    from ..samples.elements import Ints

VIOLATION = "violation/"


@dataclass(frozen=True)
class TestWindows:
    """How many test windows were scored, and the reference times of the first and the last."""

    samples: int
    first: str = ""
    last: str = ""

    @classmethod
    def of(cls, keys: Mapping[Any, xr.DataArray], samples: int) -> TestWindows:
        """From the coordinates of the samples."""
        times = keys.get("reference_time")
        if times is None or not times.size:
            return cls(samples)
        ordered = times.values.ravel()
        return cls(samples, *(str(each)[:19] for each in (ordered.min(), ordered.max())))


def options_of(part: Component) -> str:
    """A part and its options, defaults included, as JSON."""
    return json.dumps(hidden({part.name: part.model_dump(mode="json")}), sort_keys=True)


@dataclass(frozen=True)
class Scores:
    """What the scores of one run are made from."""

    metrics: Mapping[str, Metric | WholeMetric]
    laws: Mapping[str, Component]
    tallies: Mapping[str, Mapping[str, Tally]]
    """By variant, then by metric or `violation/LAW`."""
    whole: Mapping[tuple[str, str], Score]
    """Scores of the metrics that take all data at once, by metric and variant."""
    answered: Mapping[str, Mapping[str, Mapping[str, xr.DataArray]]]
    """By variant, then by field: `points` and `answered`."""
    units: Mapping[str, str]
    """Of the fields of the truth."""
    windows: TestWindows
    oracle: bool = False

    def records(self) -> tuple[Record, ...]:
        """All records: metrics in their order, then laws; of each, the variants in theirs."""
        found: list[Record] = []
        told: dict[tuple[str, str], Record] = {}
        for label, metric in self.metrics.items():
            for variant in self.tallies:
                score = self._score(label, metric, variant)
                about, coverage, units = self._about(label, metric, variant)
                found += records_of(score, about, coverage=coverage, units=units)
                # What a score tells beside its value (how many points it is of, whether a solver converged).
                for key, value in score.by_lead.attrs.get("told", {}).items():
                    plain = replace(about, metric=key, value=float(value), units="", better="", options="")
                    # Of runs of a solver, one a sample, not of points.
                    plain = replace(plain, count=float(self.windows.samples), coverage=float("nan"))
                    told.setdefault((key, variant), plain)
        found += told.values()
        for label, law in self.laws.items():
            for variant in self.tallies:
                found += self._violations(label, law, variant)
        return tuple(found)

    def _score(self, label: str, metric: Metric | WholeMetric, variant: str) -> Score:
        if isinstance(metric, WholeMetric):
            return self.whole[label, variant]
        return call(metric, finish, metric, self.tallies[variant][label])

    @property
    def _windows(self) -> tuple[int, str, str, bool]:
        return self.windows.samples, self.windows.first, self.windows.last, self.oracle

    def _about(self, label: str, metric: Metric | WholeMetric, variant: str) -> tuple[Record, Coverage, str]:
        named = getattr(metric, "variable", "")
        fields = self.answered[variant]
        scored = [fields[named]] if named in fields else list(fields.values())
        coverage = Coverage.of([(each["points"], each["answered"]) for each in scored])
        known = [self.units.get(named, "")] if named in self.units else list(self.units.values())
        units = known[0] if len(known) == 1 else "the variable's units"
        own = metric.units.replace("the variable's units", units)
        better: Any = {True: "higher", False: "lower", None: ""}[metric.higher_is_better]
        options = options_of(metric)
        about = Record(
            label, (), variant, None, 0.0, coverage.answered, coverage.overall, own, better, options, *self._windows
        )
        return about, coverage, units

    def _violations(self, label: str, law: Component, variant: str) -> list[Record]:
        tally = self.tallies[variant][f"{VIOLATION}{label}"]
        values, count, said = left_of_law(tally)
        name, units = f"{VIOLATION}{label}", str(tally["mean"].sum.attrs.get("units", ""))
        return [
            Record(name, entry, variant, None, value, count, said, units, "lower", options_of(law), *self._windows)
            for entry, value in values.items()
        ]


def left_of_law(tally: Tally) -> tuple[dict[Entry, float], float, float]:
    """What is left of a law in all samples of its totals: mean and largest; of how many rows, and which part of all."""
    mean, largest = tally["mean"], tally["largest"]
    count, rows = float(mean.count.sum()), float(tally["rows"].sum.sum())
    values: dict[Entry, float] = {(): float(mean.over("sample").mean())}
    values[(("statistic", "largest"),)] = float(largest.sum.max())
    return values, count, count / rows if rows else float("nan")


def violation(residual: xr.Dataset, of: Mapping[str, Ints] | None = None, *, count: int = 1) -> dict[str, Totals]:
    """Absolute residuals of all variables added up per sample, the largest, and how many rows there are.

    Of rows along a ragged dim `of` says whose each is (or the residual does, `DIM_sample`), of `count` samples.
    """
    parts = [_violation(abs(each), {**(of or {}), **owners(residual)}, count) for each in residual.data_vars.values()]
    total = parts[0]
    for part in parts[1:]:
        total = {
            "mean": _added(total["mean"], part["mean"]),
            "largest": _larger(total["largest"], part["largest"]),
            "rows": _added(total["rows"], part["rows"]),
        }
    units = {str(each.attrs.get("units", "")) for each in residual.data_vars.values()}
    mean = total["mean"].sum.drop_attrs().assign_attrs(units=units.pop() if len(units) == 1 else "")
    return {**total, "mean": Totals(mean, total["mean"].count)}


def _violation(sizes: xr.DataArray, of: Mapping[str, Ints], count: int) -> dict[str, Totals]:
    import xarray as xr

    sizes = sizes.astype("float64")
    over = [dim for dim in sizes.dims if dim != "sample" and dim not in of]
    rows, known = xr.ones_like(sizes, dtype="int64").sum(over), sizes.notnull().sum(over)
    total, known, rows = (by_sample(each, of, count=count) for each in (sizes.sum(over), known, rows))
    largest = largest_by_sample(sizes.max(over), of, count=count)
    ones = xr.ones_like(largest, dtype="int64")
    return {"mean": Totals(total, known), "largest": Totals(largest, ones), "rows": Totals(rows, ones)}


def _added(one: Totals, other: Totals) -> Totals:
    return Totals(one.sum + other.sum, one.count + other.count)


def _larger(one: Totals, other: Totals) -> Totals:
    import xarray as xr

    return Totals(xr.where(other.sum > one.sum, other.sum, one.sum), one.count)
