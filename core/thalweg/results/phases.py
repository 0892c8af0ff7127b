"""Learning by itself, without a pipeline: the phases of a learner first, each in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace

from ..components import Fitted, Learner, Phase, Training
from .solver import read_fitted, write_fitted


def fitted(learner: Learner, training: Training) -> Fitted:
    """What a learner learns; its phases come first, each in a subfolder, where it is read back if it had finished.

    In a run, a phase is a committed stage instead.
    """
    parts: dict[str, Fitted] = {}
    for phase in learner.phases(training.options):
        parts[phase.name] = _learned(phase, training, {name: parts[name] for name in phase.after})
    return learner.fit(replace(training, parts={**training.parts, **parts}))


def under(phase: Phase, training: Training) -> Training:
    """The training of a phase: its options, the laws that it learns under, curves under its name."""

    def report(numbers: Mapping[str, float], epoch: int) -> None:
        training.report({f"{key}/{phase.name}": value for key, value in numbers.items()}, epoch)

    holds = training.holds if phase.holds else ()
    return replace(training, options=phase.options, report=report, holds=holds)


def _learned(phase: Phase, training: Training, parts: Mapping[str, Fitted]) -> Fitted:
    folder = training.folder / phase.name
    finished, draft = folder / "learned", folder / "draft"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        solver = fitted(phase.learner, replace(under(phase, training), folder=folder, parts=parts))
        shutil.rmtree(draft, ignore_errors=True)
        write_fitted(str(draft), solver, card="", registry=training.registry)
        # Renamed whole: what bears the name was written to its end.
        draft.rename(finished)
    return read_fitted(phase.learner.fitted, str(finished), registry=training.registry)
