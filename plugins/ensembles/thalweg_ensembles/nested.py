"""Learners inside a learner: each learns in a subfolder of its own, and is not asked again once it has."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from thalweg import Fitted, Learner, Training, read_fitted, write_fitted


def learned(learner: Learner, training: Training, *, name: str, options: Mapping[str, Any]) -> Fitted:
    """What a learner learns, with these `train:` options, in the subfolder `name`; read back if it had finished there.

    Its curves are reported under its name.
    """
    folder = training.folder / name
    finished, draft = folder / "learned", folder / "draft"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)

        def report(numbers: Mapping[str, float], epoch: int) -> None:
            training.report({f"{key}/{name}": value for key, value in numbers.items()}, epoch)

        solver = learner.fit(replace(training, folder=folder, options=options, report=report))
        shutil.rmtree(draft, ignore_errors=True)
        write_fitted(str(draft), solver, card="")
        # Renamed whole: what bears the name was written to its end.
        draft.rename(finished)
    return read_fitted(learner.fitted, str(finished), registry=training.registry)
