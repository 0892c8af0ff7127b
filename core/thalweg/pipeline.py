"""The five stages, and the execution of a plan.

    ingest -> preprocess -> train -> constrain -> evaluate

A stage whose digest is committed is reused. Stages pass URLs and small dicts; fields stay in the stores.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from .cluster import Workers
from .components import Fitted, Learner, Training
from .components.calls import call
from .credentials import masked
from .errors import PartError, RunError, SupersededError
from .recipes.plan import Plan, same_array
from .recipes.registry import Registry
from .results import figures, report
from .results.folders import publish
from .results.run import STAGES, Stage
from .samples.prepared import Prepared
from .stages import evaluate as evaluation
from .stages.constrain import Estimating
from .stages.evaluate import Evaluating
from .stages.train import write_fitted
from .stores.arrays import reading
from .stores.attempt import Attempt
from .stores.blocks import Source, copy
from .stores.committed import Committed
from .stores.files import write_json
from .stores.store import seconds

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger("thalweg")

WAIT = "THALWEG_WAIT"
"""Environment variable: seconds to wait for another run that is at the same stage."""

Progress = Callable[[str, int, int], None]
"""`progress(stage, done, total)`."""


@dataclass
class Execution:
    """Executes a plan: a context in which the cluster is open and observers are told.

    with Execution(plan, registry=registry) as execution:
        for name in STAGES:
            execution.stage(name)
    """

    plan: Plan
    registry: Registry
    strict: bool = False
    """Let an observer that raises end the run."""
    redo: frozenset[str] = frozenset()
    """Stages to run even if they are committed."""
    tags: Mapping[str, str] = field(default_factory=dict)
    progress: Progress | None = None
    workers: Workers | None = None
    """Workers that are open already, to be left open."""
    stages: dict[str, Stage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._open = ExitStack()
        self._urls: dict[str, str] = {}
        self._found: dict[str, Committed] = {}
        """Committed stages that later ones read, by digest."""
        self.run = report.run_of(self.plan, self.registry, self.tags)

    def __enter__(self) -> Self:
        report.write_run_files(self.run, self.plan)
        self._tell("run_started", run=self.run)
        if self.workers is None:
            try:
                self.workers = self._open.enter_context(self.plan.cluster.open())
            except BaseException as error:
                self._tell("run_finished", run=self.run, error=error)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self._tell("run_finished", run=self.run, error=error)
        if error is None:
            publish(self.run.folder, self.plan.store, ["links.json"])

    def stage(self, name: str) -> Stage:
        """Run one stage, or find it committed. Stages go in the order of `STAGES`."""
        before = STAGES[: STAGES.index(name)]
        missing = [each for each in before if each not in self.stages]
        if missing:
            raise RunError(f"{name} comes after {missing[-1]}", advice=f"run {', '.join(missing)} first")
        try:
            stage: Stage = getattr(self, f"_{name}")()
        except PartError as error:
            log.debug("%s", error.trace)
            raise
        self.stages[name] = stage
        self._tell("stage_finished", run=self.run, stage=replace(stage, store=masked(stage.store)))
        return stage

    def table(self) -> list[dict[str, Any]]:
        """Scores as rows: metric, free, held, and whether higher is better."""
        return report.table(self.plan, self.stages["evaluate"].numbers)

    def markdown(self) -> str:
        """The table of scores."""
        return report.markdown(self.run, self.table())

    # --- the stages

    def _ingest(self) -> Stage:
        source = Source(dataset=self.plan.dataset, token=self._digest("ingest"))

        def make(attempt: Attempt) -> dict[str, float]:
            return {"bytes": float(copy(source, attempt, self._workers, label="ingest"))}

        return self._committed("ingest", self._digest("ingest"), make, options=self.plan.source_record)

    def _preprocess(self) -> Stage:
        def make(attempt: Attempt) -> dict[str, float]:
            raw = Source(url=self._urls["ingest"], token=self._urls["ingest"])
            source, data = self._transformed(raw)
            kept = [str(n) for n, each in data.data_vars.items() if same_array(each, raw.open().get(n))]
            return {"bytes": float(copy(source, attempt, self._workers, keep=tuple(kept), label="preprocess"))}

        return self._committed("preprocess", self._digest("preprocess"), make)

    def _transformed(self, raw: Source) -> tuple[Source, xr.Dataset]:
        """The source under the transforms, with what they must know of the whole of their input."""
        data, statistics = raw.open(), []
        for transform in self.plan.transforms:
            lazy = call(transform, transform.statistics, data)
            client = self._workers.client
            known = call(transform, lazy.compute, scheduler=client if client is not None else "threads")
            data = call(transform, transform.apply, data, known)
            statistics.append(known.to_dict())
        token = f"{raw.url} {self._digest('preprocess')}"
        return Source(url=raw.url, transforms=self.plan.transforms, statistics=tuple(statistics), token=token), data

    def _train(self) -> Stage:
        plan = self.plan
        if not isinstance(plan.method, Learner):
            return Stage("train", "", self._digest("train"), reused=False, numbers={})
        found = {}
        for version in plan.versions if plan.twins else ("free",):
            found[version] = self._fit("-held" if version == "held" else "")
            self._urls[f"solver-{version}"] = found[version].store
        numbers = {
            key if len(found) == 1 else f"{key}/{version}": value
            for version, stage in found.items()
            for key, value in stage.numbers.items()
        }
        first = next(iter(found.values()))
        return Stage("train", first.store, self._digest("train"), all(each.reused for each in found.values()), numbers)

    def _fit(self, twin: str) -> Stage:
        plan = self.plan
        method = cast("Learner", plan.method)
        holds = plan.learning_holds if twin else ()

        def make(attempt: Attempt) -> dict[str, float]:
            prepared = self._prepared
            train, validate = prepared.samples("train"), prepared.samples("validate")
            with report.local_folder(attempt) as folder:
                training = Training(
                    train,
                    validate if len(validate) else None,
                    train.wanted,
                    dict(plan.options),
                    folder,
                    self._report("train" + twin),
                    self._workers,
                    holds,
                )
                solver: Fitted = call(method, method.fit, training)
            write_fitted(attempt.url(), solver, card=report.card(plan, ()))
            return {}

        mark = plan.solver_digest(held=bool(twin))
        return self._committed("train", mark, make)

    def _constrain(self) -> Stage:
        plan = self.plan
        found = {version: self._estimate(version) for version in plan.versions}
        seconds = {version: stage.numbers["seconds"] for version, stage in found.items()}
        numbers = {f"cost/seconds/estimate/{version}": value for version, value in seconds.items()}
        numbers["cost/seconds/constrain"] = sum(seconds.values())
        last = list(found.values())[-1]
        reused = all(each.reused for each in found.values())
        return Stage("constrain", last.store, self._digest("constrain"), reused, numbers)

    def _estimate(self, version: str) -> Stage:
        plan = self.plan
        steered = any(hold.site == "sampling" for hold in plan.holds)
        held = version == "held"
        again = not held or plan.twins or steered
        free = "" if again else self._urls["free"]

        def make(attempt: Attempt) -> dict[str, float]:
            samples = self._prepared.samples("test")
            task = Estimating(
                self._prepared,
                plan.method,
                self._urls.get("solver-held" if held and plan.twins else "solver-free", ""),
                samples.wanted,
                plan.holds if held else (),
                free,
                attempt.folder,
                plan.batch,
            )
            done = attempt.marks()
            todo = [i for i in range(-(-len(samples) // plan.batch)) if f"batch-{i}" not in done]
            label = f"constrain {version}"
            if 0 in todo:
                # The first batch also lays out the store for the others.
                self._workers.map(task, [0], label=label)
            self._workers.map(task, [i for i in todo if i], label=label, each=self._each("constrain", len(todo)))
            return {}

        stage = self._committed("estimate", plan.estimate_digest(held=held), make)
        self._urls[version] = stage.store
        return stage

    def _evaluate(self) -> Stage:
        plan = self.plan
        urls = {version: self._urls[version] for version in plan.versions}

        def make(attempt: Attempt) -> dict[str, float]:
            task = Evaluating(self._prepared, urls, plan.metrics, plan.holds, plan.batch)
            count = -(-len(self._prepared.samples("test")) // plan.batch)
            batches = self._workers.map(task, range(count), label="evaluate", each=self._each("evaluate", count))
            scores, violations = evaluation.finish(plan.metrics, batches, task.whole())
            numbers, curves = evaluation.numbers(scores, violations)
            write_json(attempt.url("data/curves.json"), curves)
            report.write_scores(attempt.url("data/scores.parquet"), evaluation.frame(numbers, curves))
            figures.draw(attempt, plan, self._prepared, urls, curves)
            return numbers

        stage = self._committed("evaluate", self._digest("evaluate"), make)
        return report.with_files(stage, self._found[stage.digest], self.run, plan)

    # --- helpers

    def _committed(
        self, name: str, mark: str, make: Callable[[Attempt], dict[str, float]], *, options: str = ""
    ) -> Stage:
        """A committed stage, made if it is not there."""
        store = self.plan.store
        generation = store.next_generation(name, mark) if self._asked_again(name) else 1
        committed = store.find(name, mark) if generation == 1 else None
        reused = committed is not None
        while committed is None:
            try:
                committed, reused = self._made(name, mark, make, generation, options)
            except SupersededError as error:
                # Wait for the run that took over, and use what it commits; or go on if that one ends.
                log.warning("%s", error.given)
        log.info("%s %s: %s", name, mark[:10], "reused" if reused else f"{committed.numbers['seconds']:.1f} s")
        self._urls[name] = committed.url()
        self._found[mark] = committed
        numbers = committed.numbers
        if name != "estimate":
            numbers[f"cost/seconds/{name}"] = numbers["seconds"]
        return Stage(name, committed.url(), mark, reused, numbers)

    def _made(
        self, name: str, mark: str, make: Callable[[Attempt], dict[str, float]], generation: int, options: str
    ) -> tuple[Committed, bool]:
        """The stage, made here or meanwhile by another run, and whether it was another."""
        start = time.perf_counter()
        known = [each for each in self._urls.values() if each]
        held = self.plan.store.attempt(
            name, mark, generation=generation, patience=seconds(WAIT, 3600.0), uses=tuple(self._found.values())
        )
        with held as attempt, reading(*known):
            committed = attempt.committed
            if committed is None:
                numbers = make(attempt)
                committed = attempt.commit(
                    {"stage": name, "digest": mark, "options": options, "versions": report.versions()},
                    numbers={**numbers, "seconds": time.perf_counter() - start},
                )
        return committed, committed.folder != attempt.folder

    def _asked_again(self, name: str) -> bool:
        return ("constrain" if name == "estimate" else name) in self.redo

    def _digest(self, name: str) -> str:
        return self.plan.steps[name].digest

    @property
    def _prepared(self) -> Prepared:
        return Prepared(self._urls["ingest"], self._urls["preprocess"])

    @property
    def _workers(self) -> Workers:
        assert self.workers is not None, "an Execution is used inside `with`"
        return self.workers

    def _each(self, stage: str, total: int) -> Callable[[int], None]:
        return lambda done: self.progress(stage, done, total) if self.progress else None

    def _report(self, stage: str) -> Callable[[Mapping[str, float], int], None]:
        return lambda numbers, step: self._tell("progressed", run=self.run, stage=stage, numbers=numbers, step=step)

    def _tell(self, hook: str, **arguments: object) -> None:
        for plugin, error in self.registry.observers(hook, **arguments):
            if error is not None:
                log.warning("observer %s failed in %s: %s", plugin, hook, error)
                if self.strict:
                    raise error


def execute(
    plan: Plan,
    *,
    registry: Registry,
    to: str = STAGES[-1],
    redo: Iterable[str] = (),
    strict: bool = False,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> Execution:
    """Run a plan as far as the stage `to`; gives the finished execution."""
    execution = Execution(plan, registry, strict=strict, redo=frozenset(redo), progress=progress, workers=workers)
    with execution:
        for name in STAGES[: STAGES.index(to) + 1]:
            execution.stage(name)
    return execution
