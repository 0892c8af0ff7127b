"""`evaluate`: statistics of every batch, free and held, then scores, violations and their table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..components import Hold, Metric, WholeMetric
from ..components.calls import call
from ..components.signature import Signature
from ..components.totals import Totals
from ..errors import EstimateError
from ..results import figures, report, scoring
from ..results.estimates import context_of
from ..results.run import Stage
from ..results.scoring import Score
from ..samples import Prepared
from ..stores.arrays import read, reading
from ..stores.attempt import Attempt
from ..stores.files import write_json
from .work import Work

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Tallies = dict[tuple[str, str], dict[str, Totals]]


def run(work: Work) -> Stage:
    """Score the estimates, or find their scores."""
    plan = work.plan
    urls = {variant: committed.url() for variant, committed in work.made.estimates.items()}

    def make(attempt: Attempt) -> dict[str, float]:
        prepared = work.made.prepared
        task = Evaluating(prepared, urls, plan.metrics, plan.holds, plan.batch)
        count = -(-len(prepared.samples("test")) // plan.batch)
        batches = work.workers.map(task, range(count), label="evaluate", each=work.each("evaluate", count))
        scores, violations = finish(plan.metrics, batches, task.whole())
        plain, curves = numbers(scores, violations)
        write_json(attempt.url("data/curves.json"), curves)
        report.write_scores(attempt.url("data/scores.parquet"), frame(plain, curves))
        figures.draw(attempt, plan, prepared, urls, curves)
        return plain

    committed, reused = work.commit("evaluate", plan.steps["evaluate"].digest, make)
    return report.with_files(work.stage("evaluate", committed, reused=reused), committed, work.run, plan)


@dataclass(frozen=True)
class Evaluating:
    """What the tasks share. Called with the number of a batch; gives totals by metric and estimate, and by law."""

    prepared: Prepared
    estimates: Mapping[str, str]
    """URLs of the estimates: `free`, and `held` if a law is held."""
    metrics: Mapping[str, Metric | WholeMetric]
    holds: tuple[Hold, ...]
    batch: int

    def __call__(self, number: int) -> Tallies:
        samples = self.prepared.samples("test")
        at = slice(number * self.batch, min(len(samples), (number + 1) * self.batch))
        with reading(self.prepared.preprocess, self.prepared.ingest):
            truth = samples.truth(at)
            inputs = samples.inputs(at) if self.holds else None
        found: Tallies = {}
        for version, url in self.estimates.items():
            with reading(url):
                data = read(url)
                estimate = (data.isel(sample=at) if "sample" in data.dims else data).load()
            _same_place(estimate, truth, version)
            for label, metric in self.metrics.items():
                if isinstance(metric, Metric):
                    found[label, version] = call(metric, scoring.tally, metric, estimate, truth)
            for label, law, oracle in laws(self.holds):
                assert inputs is not None
                context = context_of(inputs, Signature.of(truth), truth if oracle else None)
                found[f"violation/{label}", version] = _violation(call(law, law.residual, estimate, context))
        return found

    def whole(self) -> dict[tuple[str, str], Score]:
        """The metrics that need all data at once; the plan saw to it that they may."""
        parts = {label: metric for label, metric in self.metrics.items() if isinstance(metric, WholeMetric)}
        if not parts:
            return {}
        samples = self.prepared.samples("test")
        truth = samples.truth(slice(None))
        found: dict[tuple[str, str], Score] = {}
        for version, url in self.estimates.items():
            with reading(url):
                estimate = read(url).load()
            for label, metric in parts.items():
                found[label, version] = call(metric, scoring.score, metric, estimate, truth)
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
    """Every law that is held, with a label of its own."""
    seen: dict[str, int] = {}
    for hold in holds:
        for law in hold.laws:
            seen[law.name] = seen.get(law.name, 0) + 1
            yield (law.name if seen[law.name] == 1 else f"{law.name}-{seen[law.name]}"), law, hold.oracle


def _violation(residual: xr.Dataset) -> dict[str, Totals]:
    """Absolute residuals of all variables added up per sample, and the largest."""
    import xarray as xr

    sizes = [abs(each).astype("float64") for each in residual.data_vars.values()]
    dims = [[dim for dim in each.dims if dim != "sample"] for each in sizes]
    mean = [Totals(each.sum(over), each.notnull().sum(over)) for each, over in zip(sizes, dims, strict=True)]
    largest = sizes[0].max(dims[0])
    for each, over in zip(sizes[1:], dims[1:], strict=True):
        largest = xr.where(each.max(over) > largest, each.max(over), largest)
    total = scoring.add([{"mean": each} for each in mean])["mean"]
    return {"mean": total, "largest": Totals(largest, xr.ones_like(largest, dtype="int64"))}


def finish(
    metrics: Mapping[str, Metric | WholeMetric], batches: Sequence[Tallies], whole: Mapping[tuple[str, str], Score]
) -> tuple[dict[tuple[str, str], Score], dict[tuple[str, str], tuple[float, float]]]:
    """Scores by metric and estimate, and violations (mean, largest) by law and estimate."""
    scores: dict[tuple[str, str], Score] = dict(whole)
    violations: dict[tuple[str, str], tuple[float, float]] = {}
    for label, version in batches[0]:
        totals = scoring.concatenate([batch[label, version] for batch in batches])
        if label.startswith("violation/"):
            mean = float(totals["mean"].over("sample").mean())
            violations[label.removeprefix("violation/"), version] = mean, float(totals["largest"].sum.max())
        else:
            metric = metrics[label]
            assert isinstance(metric, Metric)
            scores[label, version] = call(metric, scoring.finish, metric, totals)
    order = list(metrics)
    return dict(sorted(scores.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))), violations


def entries(label: str, array: xr.DataArray) -> Iterator[tuple[str, xr.DataArray]]:
    """A score by its other dims: `csi/74`, ..., and `csi/mean` over them if they are numbers; `lead` is left alone."""
    others = [dim for dim in array.dims if dim != "lead"]
    if not others:
        yield label, array
        return
    stacked = array.stack(entry=others) if len(others) > 1 else array.rename({others[0]: "entry"})
    for i in range(stacked.sizes["entry"]):
        one = stacked.isel(entry=i, drop=False)
        key = one["entry"].item() if "entry" in one.coords else i
        keys = key if isinstance(key, tuple) else (key,)
        yield "/".join([label, *(f"{each:g}" if isinstance(each, int | float) else str(each) for each in keys)]), one
    # Over names (of statistics, of quantities in units of their own) a mean says nothing.
    if all(array[dim].dtype.kind in "iuf" for dim in others):
        yield f"{label}/mean", array.mean(others)


def numbers(
    scores: Mapping[tuple[str, str], Score], violations: Mapping[tuple[str, str], tuple[float, float]]
) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """Scores as plain numbers (`csi/74/free`) and curves by lead (`csi/74/free/lead`)."""
    plain: dict[str, float] = {}
    curves: dict[str, dict[int, float]] = {}
    for (label, version), score in scores.items():
        plain |= {f"{key}/{version}": float(one) for key, one in entries(label, score.overall)}
        # What a score tells beside its value (how many points it is of, whether a solver converged).
        plain |= {f"{key}/{version}": float(one) for key, one in score.by_lead.attrs.get("told", {}).items()}
        if "lead" in score.by_lead.dims:
            for key, one in entries(label, score.by_lead):
                leads = one["lead"].values.tolist()
                curves[f"{key}/{version}/lead"] = dict(zip(map(int, leads), map(float, one.values), strict=True))
    for (label, version), (mean, largest) in violations.items():
        plain[f"violation/{label}/{version}"] = mean
        plain[f"violation/{label}/largest/{version}"] = largest
    return plain, curves


def frame(plain: Mapping[str, float], curves: Mapping[str, Mapping[int, float]]) -> pd.DataFrame:
    """Scores as a long table: metric, estimate, lead (0: overall), value."""
    import pandas as pd

    rows = [(*key.rsplit("/", 1), 0, value) for key, value in plain.items()]
    rows += [
        (*key.removesuffix("/lead").rsplit("/", 1), lead, value)
        for key, curve in curves.items()
        for lead, value in curve.items()
    ]
    return pd.DataFrame(rows, columns=["metric", "estimate", "lead", "value"])
