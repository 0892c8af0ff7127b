"""`train`: what a learner learns, free and, where laws are held while learning, a twin under those laws."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from ..components import Fitted, Learner, Training
from ..components.calls import call
from ..errors import CorruptError
from ..recipes.plan import Plan
from ..results import learning_curves, report
from ..results.folders import publish
from ..results.forecasts import remember, stand_alone
from ..results.learning_curves import CURVES
from ..results.run import Stage
from ..results.solver import CARD, of_solver, read_fitted, write_fitted
from ..samples.values import values_of
from ..stores.attempt import Attempt
from ..stores.committed import Committed
from ..stores.files import write_bytes
from .work import Work

log = logging.getLogger("thalweg")

Told = Callable[[Mapping[str, float], int], None]
"""`told(numbers, epoch)`: a learning curve."""


def run(work: Work) -> Stage:
    """Train, or find what was learned; nothing for a method that learns nothing."""
    plan = work.plan
    digest = plan.steps["train"].digest
    if not isinstance(plan.method, Learner):
        remember(plan, Path(work.run.folder), work.made.prepared, work.registry, {})
        return Stage("train", "", digest, reused=False, numbers={})
    twins = [each for each in plan.variants if plan.under(each).twins]
    free = "free" in plan.versions or len(twins) < len(plan.variants)
    variants = [*(["free"] if free else []), *twins]
    there = {}
    for variant in variants:
        told = partial(work.told, "train" if variant == "free" else f"train-{variant}")
        view = plan.under(variant)
        work.made.solvers[variant], there[variant] = _learned(work, view, held=view.twins, told=told)
    files: dict[str, str] = {}
    for variant in variants:
        files |= learning_curves.show(work.made.solvers[variant], work.run.folder, variant=variant)
    publish(work.run.folder, plan.store, list(files))
    urls = {variant: work.made.solvers[variant].url() for variant in variants}
    remember(plan, Path(work.run.folder), work.made.prepared, work.registry, urls)
    numbers = {
        key if len(variants) == 1 else f"{variant}/{key}": value
        for variant in variants
        for key, value in _numbers(work.made.solvers[variant]).items()
    }
    return Stage("train", work.made.solvers[variants[0]].url(), digest, all(there.values()), numbers, files=files)


def _numbers(committed: Committed) -> dict[str, float]:
    return {**committed.numbers, "cost/seconds/train": committed.numbers["seconds"]}


def _learned(work: Work, plan: Plan, *, held: bool, told: Told) -> tuple[Committed, bool]:
    """What the method of a plan learns, and whether it was there; its phases are committed before it.

    Where it is there, its phases are not asked for: what it needs of them is in its folder.
    """
    method = cast("Learner", plan.method)

    @cache
    def learned_from() -> str:
        return plan.learned_from(values_of(work.made.prepared, "train", "validate"), held=held)

    def make(attempt: Attempt) -> dict[str, float]:
        prepared = work.made.prepared
        known = None if "train" in work.redo else _copied(plan, learned_from(), attempt)
        if known is not None:
            stand_alone(attempt.url(), plan, prepared, work.registry)
            log.info(
                "train: these values were learned from before (%s), and are not again", known.manifest["digest"][:10]
            )
            return known.numbers
        train, validate = prepared.samples("train"), prepared.samples("validate")
        curves: dict[int, Mapping[str, float]] = {}

        def report_of(numbers: Mapping[str, float], epoch: int) -> None:
            curves[epoch] = dict(numbers)
            told(numbers, epoch)

        with local_folder(attempt) as folder:
            training = Training(
                train,
                validate if len(validate) else None,
                train.wanted,
                dict(plan.options),
                folder,
                report_of,
                work.workers,
                plan.learning_holds if held else (),
                work.registry,
                _parts(work, plan, held=held, told=told),
            )
            solver: Fitted = call(method, method.fit, training)
        write_fitted(attempt.url(), solver, card=report.card(plan, ()), registry=work.registry)
        if curves:
            write_bytes(attempt.url(f"data/{CURVES}"), learning_curves.table(curves))
        stand_alone(attempt.url(), plan, prepared, work.registry)
        return {}

    return work.commit("train", plan.solver_digest(held=held), make, options=learned_from)


def _parts(work: Work, plan: Plan, *, held: bool, told: Told) -> dict[str, Fitted]:
    """What the phases of a plan learned, and those that it is given as a phase itself; each is a committed stage."""
    parts: dict[str, Fitted] = {}
    for name, each in {**plan.given, **plan.phases}.items():

        def titled(numbers: Mapping[str, float], step: int, name: str = name) -> None:
            told({f"{key}/{name}": value for key, value in numbers.items()}, step)

        committed, _ = _learned(work, each, held=held, told=titled)
        kind = cast("Learner", each.method).fitted
        parts[name] = read_fitted(kind, committed.url(), registry=work.registry)
    return parts


def _copied(plan: Plan, learned_from: str, attempt: Attempt) -> Committed | None:
    """Copy what the same learner learned from the same values, of whatever source; None if there is nothing sound."""
    for each in plan.store.alike("train", learned_from):
        # What no run needs may be removed while it is read: then it is learned here.
        with suppress(CorruptError):
            each.check()
            there = [file.removeprefix("data/") for file in each.files()]
            names = [name for name in there if name == CURVES or of_solver(name)]
            contents = {name: each.content(f"data/{name}") for name in names}
            for name, content in contents.items():
                write_bytes(attempt.url(f"data/{name}"), content)
            write_bytes(attempt.url(f"data/{CARD}"), report.card(plan, ()).encode())
            return each
    return None


@contextmanager
def local_folder(attempt: Attempt) -> Iterator[Path]:
    """A local folder for checkpoints, which outlives a killed process where the store is local."""
    if "://" not in attempt.folder:
        folder = Path(attempt.url("checkpoints"))
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with TemporaryDirectory(prefix="thalweg-") as name:
            yield Path(name)
