"""Every run in MLflow: an observer that records events on disk first, and sends them when the tracker answers.

`THALWEG_TRACKING=off` disables it; `THALWEG_TRACKING_URI`, then `MLFLOW_TRACKING_URI`, name the tracker, by default the
SQLite file `mlflow.db` in the store. MLflow is imported when events are sent, not before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from thalweg import hookimpl

from . import events, observer
from .observer import drain
from .place import link

if TYPE_CHECKING:
    from thalweg import Run, Stage


__all__ = ["drain", "link", "progressed", "run_finished", "run_started", "stage_finished"]


@hookimpl
def run_started(run: Run) -> None:
    if _enabled():
        observer.began(run, events.started(run))


@hookimpl
def progressed(run: Run, stage: str, numbers: Mapping[str, float], step: int) -> None:
    if _enabled():
        observer.went_on(run, events.progressed(stage, numbers, step))


@hookimpl
def stage_finished(run: Run, stage: Stage) -> None:
    if _enabled():
        observer.went_on(run, events.stage(run, stage))


@hookimpl
def run_finished(run: Run, error: BaseException | None) -> None:
    if _enabled():
        observer.ended(run, events.finished(error))


def _enabled() -> bool:
    return os.environ.get("THALWEG_TRACKING", "").lower() not in ("off", "0", "false")
