"""What a stage is given: a plan, workers, what earlier stages committed, and a way to commit its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..cluster import Workers
from ..errors import SupersededError
from ..recipes.plan import Plan
from ..recipes.registry import Registry
from ..results import report
from ..results.run import Run, Stage
from ..samples import Prepared
from ..stores.arrays import reading
from ..stores.attempt import Attempt
from ..stores.committed import STAGE_OF, Committed
from ..stores.store import seconds

log = logging.getLogger("thalweg")

WAIT = "THALWEG_WAIT"
"""Environment variable: seconds to wait for another run that is at the same stage."""

Progress = Callable[[str, int, int], None]
"""`progress(stage, done, total)`."""

Make = Callable[[Attempt], dict[str, float]]
"""Writes what a stage gives into an attempt, and returns its numbers."""


@dataclass
class Made:
    """What the stages of a run have committed so far."""

    ingest: Committed | None = None
    preprocess: Committed | None = None
    index: Committed | None = None
    """Where samples lie: the second store of `preprocess`."""
    solvers: dict[str, Committed] = field(default_factory=dict)
    """By variant of the estimate; empty for a method that learns nothing."""
    estimates: dict[str, Committed] = field(default_factory=dict)
    """By variant."""

    @property
    def prepared(self) -> Prepared:
        """The data that later stages read."""
        assert self.ingest is not None, "preprocess and later stages come after ingest"
        assert self.preprocess is not None, "train and later stages come after preprocess"
        assert self.index is not None, "train and later stages come after preprocess"
        return Prepared(self.ingest.url(), self.preprocess.url(), self.index.url())

    def all(self) -> tuple[Committed, ...]:
        """Everything that a later stage may read."""
        first = tuple(each for each in (self.ingest, self.preprocess, self.index) if each is not None)
        return (*first, *self.solvers.values(), *self.estimates.values())


@dataclass
class Work:
    """The work of one run, handed from stage to stage."""

    plan: Plan
    run: Run
    registry: Registry
    workers: Workers
    made: Made = field(default_factory=Made)
    redo: frozenset[str] = frozenset()
    """Stages to run even if they are committed."""
    progress: Progress | None = None
    told: Callable[[str, Mapping[str, float], int], None] = lambda _stage, _numbers, _step: None
    """`told(stage, numbers, step)`: tells observers how far a stage is."""

    def commit(self, name: str, digest: str, make: Make, *, options: Callable[[], str] = str) -> tuple[Committed, bool]:
        """A committed stage, and whether it was there; made if it is not.

        `options` gives what other stages of its kind may have in common with it (see `Store.alike`).
        """
        store = self.plan.store
        again = STAGE_OF.get(name, name) in self.redo
        generation = store.next_generation(name, digest) if again else 1
        committed = store.find(name, digest) if generation == 1 else None
        reused = committed is not None
        while committed is None:
            try:
                committed, reused = self._attempted(name, digest, make, generation, options)
            except SupersededError as error:
                # Wait for the run that took over, and use what it commits; or go on if that one ends.
                log.warning("%s", error.given)
        log.info("%s %s: %s", name, digest[:10], "reused" if reused else f"{committed.numbers['seconds']:.1f} s")
        return committed, reused

    def _attempted(
        self, name: str, digest: str, make: Make, generation: int, options: Callable[[], str]
    ) -> tuple[Committed, bool]:
        """The stage, made here or meanwhile by another run, and whether it was another."""
        start = time.perf_counter()
        known = self.made.all()
        held = self.plan.store.attempt(name, digest, generation=generation, patience=seconds(WAIT, 3600.0), uses=known)
        with held as attempt, reading(*(each.url() for each in known)):
            committed = attempt.committed
            if committed is None:
                numbers = make(attempt)
                committed = attempt.commit(
                    {"stage": name, "digest": digest, "options": options(), "versions": report.versions()},
                    numbers={"seconds": time.perf_counter() - start, **numbers},
                )
        return committed, committed.folder != attempt.folder

    def stage(self, name: str, committed: Committed, *, reused: bool) -> Stage:
        """What observers are told of a committed stage."""
        numbers = committed.numbers
        numbers[f"cost/seconds/{name}"] = numbers["seconds"]
        return Stage(name, committed.url(), self.plan.steps[name].digest, reused, numbers)

    def each(self, stage: str, total: int) -> Callable[[int], None]:
        """What the workers call with the number of tasks that are done."""
        return lambda done: self.progress(stage, done, total) if self.progress else None
