"""The five stages, and the execution of a plan.

    ingest -> preprocess -> train -> constrain -> evaluate

A stage whose digest is committed is reused. Stages pass URLs and small dicts; fields stay in the stores.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from .cluster import Workers
from .credentials import masked
from .errors import PartError, RunError
from .recipes.plan import Plan
from .recipes.registry import Registry
from .results import report
from .results.folders import publish
from .results.records import Record
from .results.run import STAGES, Stage
from .samples import Prepared
from .stages import constrain, evaluate, ingest, preprocess, train
from .stages.work import Progress, Work

log = logging.getLogger("thalweg")

_STAGES: Mapping[str, Callable[[Work], Stage]] = {
    "ingest": ingest.run,
    "preprocess": preprocess.run,
    "train": train.run,
    "constrain": constrain.run,
    "evaluate": evaluate.run,
}


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
        self._work: Work | None = None
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
            stage = _STAGES[name](self._begun())
        except PartError as error:
            log.debug("%s", error.trace)
            raise
        self.stages[name] = stage
        self._tell("stage_finished", run=self.run, stage=replace(stage, store=masked(stage.store)))
        return stage

    @property
    def prepared(self) -> Prepared:
        """What `preprocess` gave: fields, and the index of their samples."""
        return self._begun().made.prepared

    def table(self) -> list[dict[str, Any]]:
        """Scores as rows: metric, free, held, whether higher is better, count and coverage by variant."""
        return report.table(self.records())

    def records(self) -> tuple[Record, ...]:
        """Every number of the evaluation, in the order of the recipe."""
        return self.stages["evaluate"].records

    def markdown(self) -> str:
        """The table of scores."""
        return report.markdown(self.run, self.table())

    def _begun(self) -> Work:
        assert self.workers is not None, "an Execution is used inside `with`"
        if self._work is None:
            self._work = Work(
                self.plan,
                self.run,
                self.registry,
                self.workers,
                redo=self.redo,
                progress=self.progress,
                told=lambda stage, numbers, step: self._tell(
                    "progressed", run=self.run, stage=stage, numbers=numbers, step=step
                ),
            )
        return self._work

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
