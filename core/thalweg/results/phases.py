"""Learning by itself, without a pipeline: the phases of a learner first, each in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..components import Fitted, Learner, Phase, Training
from .solver import read_fitted, write_fitted

Known = Sequence[tuple[Phase, Fitted]]
"""What was learned already, by others that need it too."""


def fitted(learner: Learner, training: Training, known: Known = ()) -> Fitted:
    """What a learner learns; its phases come first, each in a subfolder, where it is read back if it had finished.

    A phase that several need is learned once. In a run, a phase is a committed stage instead.
    """
    parts: dict[str, Fitted] = {}
    seen = list(known)
    for phase in learner.phases(training.options):
        same = next((solver for other, solver in seen if _same(phase, other)), None)
        given = {name: parts[name] for name in phase.after}
        parts[phase.name] = _learned(phase, training, given, seen) if same is None else same
        seen.append((phase, parts[phase.name]))
    return learner.fit(replace(training, parts={**training.parts, **parts}))


def _same(phase: Phase, other: Phase) -> bool:
    """Whether two phases, given nothing, learn the same."""
    one, two = phase.learner, other.learner
    alike = type(one) is type(two) and one.model_dump() == two.model_dump() and phase.holds == other.holds
    return alike and not (phase.after or other.after) and dict(phase.options) == dict(other.options)


def under(phase: Phase, training: Training) -> Training:
    """The training of a phase: its options, the laws that it learns under, curves under its name."""

    def report(numbers: Mapping[str, float], epoch: int) -> None:
        training.report({f"{key}/{phase.name}": value for key, value in numbers.items()}, epoch)

    holds = training.holds if phase.holds else ()
    return replace(training, options=phase.options, report=report, holds=holds)


def _learned(phase: Phase, training: Training, parts: Mapping[str, Fitted], known: Known, /) -> Fitted:
    folder = training.folder / phase.name
    finished, draft = folder / "learned", folder / "draft"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        solver = fitted(phase.learner, replace(under(phase, training), folder=folder, parts=parts), known)
        shutil.rmtree(draft, ignore_errors=True)
        write_fitted(str(draft), solver, card="", registry=training.registry)
        # Renamed whole: what bears the name was written to its end.
        draft.rename(finished)
    return read_fitted(phase.learner.fitted, str(finished), registry=training.registry)
