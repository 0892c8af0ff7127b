"""`evaluate`: statistics of every batch, free and held, kept by sample; then records of scores and violations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..components import Hold, Metric, WholeMetric
from ..components.calls import call
from ..components.context import context_of
from ..components.signature import Signature
from ..errors import EstimateError
from ..results import answered, figures, report, scoring
from ..results.estimates import estimate_at
from ..results.records import Record, to_parquet
from ..results.run import Stage
from ..results.scored import VIOLATION, Scores, TestWindows, violation
from ..results.scoring import Score, Tally
from ..results.sums import Parts, Sums, Writer, per_sample
from ..samples import Prepared
from ..samples.elements import owners
from ..stores.arrays import reading
from ..stores.attempt import Attempt
from ..stores.files import write_bytes
from .work import Work

if TYPE_CHECKING:
    import xarray as xr

Tallies = dict[str, dict[str, Tally]]
"""By variant, then by metric or `violation/LAW`."""


def run(work: Work) -> Stage:
    """Score the estimates, or find their scores."""
    plan = work.plan
    if not plan.tested:
        return report.untested(Stage("evaluate", "", plan.steps["evaluate"].digest, reused=False), work.run, plan)
    urls = {variant: committed.url() for variant, committed in work.made.estimates.items()}
    prepared = work.made.prepared

    def make(attempt: Attempt) -> dict[str, float]:
        task = Evaluating(prepared, urls, plan.metrics, plan.holds, plan.batch, f"{attempt.folder}/sums")
        count = -(-len(prepared.samples("test")) // plan.batch)
        # The first batch also lays out the store for the others.
        rest = work.workers.map(task, [0], label="evaluate")
        rest += work.workers.map(task, range(1, count), label="evaluate", each=work.each("evaluate", count))
        records = task.records(rest)
        write_bytes(attempt.url(f"data/{report.SCORES}"), to_parquet(records))
        figures.draw(attempt, plan, prepared, urls, records)
        return {}

    committed, reused = work.commit("evaluate", plan.steps["evaluate"].digest, make)
    stores = {
        "sums": committed.url("sums"),
        "estimates": urls,
        "ingest": prepared.ingest,
        "preprocess": prepared.preprocess,
        "index": prepared.index,
        "batch": plan.batch,
    }
    return report.with_files(work.stage("evaluate", committed, reused=reused), committed, work.run, plan, stores)


@dataclass(frozen=True)
class Evaluating:
    """What the tasks share. Called with the number of a batch; writes its sums, and gives what has none by sample."""

    prepared: Prepared
    estimates: Mapping[str, str]
    """URLs of the estimates, by variant."""
    metrics: Mapping[str, Metric | WholeMetric]
    holds: tuple[Hold, ...]
    batch: int
    sums: str
    """URL of the group to write."""

    def __call__(self, number: int) -> Tallies:
        samples = self.prepared.samples("test")
        at = slice(number * self.batch, min(len(samples), (number + 1) * self.batch))
        with reading(self.prepared.preprocess, self.prepared.ingest):
            truth = samples.truth(at)
            inputs = samples.inputs(at) if self.holds else None
            grid = samples.grid if self.holds else None
        arrays: dict[str, Parts] = {
            "truth": {(name, "", "values"): each for name, each in answered.hashes(truth).items()}
        }
        rest: Tallies = {}
        for variant, url in self.estimates.items():
            estimate = estimate_at(url, at)
            _same_place(estimate, truth, variant)
            arrays[variant], rest[variant] = per_sample(self._tallies(estimate, truth, inputs, grid))
            arrays[f"answered_{variant}"] = {
                (name, "", part): each
                for name, parts in answered.answers(estimate, truth).items()
                for part, each in parts.items()
            }
        writer = Writer(self.sums, self.batch)
        if number == 0:
            writer.lay_out(arrays, samples.coordinates("truth"), samples=len(samples))
        writer.put(arrays, at)
        return rest

    def _tallies(
        self, estimate: xr.Dataset, truth: xr.Dataset, inputs: xr.Dataset | None, grid: xr.Dataset | None, /
    ) -> dict[str, Tally]:
        found: dict[str, Tally] = {}
        for label, metric in self.metrics.items():
            if isinstance(metric, Metric):
                found[label] = call(metric, scoring.tally, metric, estimate, truth)
        for label, law, oracle in laws(self.holds):
            assert inputs is not None and grid is not None
            context = context_of(inputs, Signature.of(truth), truth if oracle else None)
            found[f"{VIOLATION}{label}"] = violation(
                call(law, law.residual, estimate, context, grid), owners(truth), count=truth.sizes.get("sample", 1)
            )
        return found

    def records(self, rest: Sequence[Tallies]) -> tuple[Record, ...]:
        """The records of all batches; `rest` is what they gave."""
        samples = self.prepared.samples("test")
        sums = Sums(self.sums)
        tallies: dict[str, dict[str, Tally]] = {}
        for variant in self.estimates:
            tallies[variant] = dict(sums.tallies(variant))
            for label in rest[0][variant]:
                tallies[variant][label] = scoring.concatenate([each[variant][label] for each in rest])
        scores = Scores(
            self.metrics,
            {label: law for label, law, _ in laws(self.holds)},
            tallies,
            self._whole(),
            {variant: sums.answered(variant) for variant in self.estimates},
            {each.name: each.units for each in samples.wanted.fields},
            TestWindows.of(samples.coordinates("truth"), len(samples)),
            oracle=any(hold.oracle for hold in self.holds),
        )
        return scores.records()

    def _whole(self) -> dict[tuple[str, str], Score]:
        """The metrics that need all data at once; the plan saw to it that they may."""
        parts = {label: metric for label, metric in self.metrics.items() if isinstance(metric, WholeMetric)}
        if not parts:
            return {}
        samples = self.prepared.samples("test")
        truth = samples.truth(slice(None))
        found: dict[tuple[str, str], Score] = {}
        for variant, url in self.estimates.items():
            estimate = estimate_at(url, slice(None))
            for label, metric in parts.items():
                found[label, variant] = call(metric, scoring.score, metric, estimate, truth)
        return found


def _same_place(estimate: xr.Dataset, truth: xr.Dataset, version: str) -> None:
    """Arithmetic would silently keep only the coordinates that two fields share."""
    import xarray as xr

    try:
        xr.align(estimate, truth, join="exact", copy=False)
    except ValueError as error:
        raise EstimateError(
            f"the {version} estimate does not lie where the truth does: {str(error).splitlines()[0]}",
            allowed="the truth's coordinates",
            advice="copy latitude, longitude, ... from the inputs",
        ) from error


def laws(holds: Sequence[Hold]) -> Iterator[tuple[str, Any, bool]]:
    """Every law that is held, once, with a label of its own."""
    seen: dict[str, int] = {}
    found: list[tuple[Any, bool]] = []
    for hold in holds:
        for law in hold.laws:
            if any(type(law) is type(each) and law == each for each, _ in found):
                continue
            found.append((law, hold.oracle))
            seen[law.name] = seen.get(law.name, 0) + 1
            yield (law.name if seen[law.name] == 1 else f"{law.name}-{seen[law.name]}"), law, hold.oracle
