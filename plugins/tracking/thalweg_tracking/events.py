"""What happened, as plain data: complete in itself, so that it can be sent at any later time, to any tracker."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from thalweg import credentials, curves, scalars

if TYPE_CHECKING:
    from thalweg import Record, Run, Stage

Event = dict[str, Any]


def started(run: Run) -> Event:
    tags = {"thalweg.digest": run.digest, **run.tags, "mlflow.source.name": run.name, "mlflow.user": _user()}
    if "git.commit" in run.tags:
        tags["mlflow.source.git.commit"] = run.tags["git.commit"]
    return _event(
        "started",
        experiment=run.experiment,
        title=run.title,
        digest=run.digest,
        tags=credentials.hidden(tags),
        params=dict(flattened(credentials.hidden(run.recipe))),
        files=dict(run.files),
    )


def progressed(stage: str, numbers: Mapping[str, float], step: int) -> Event:
    # The twin that learns under a law reports as `train-held`: its curve stands beside the free one.
    variant = stage.partition("-")[2] or "free"
    named = {f"{variant}/{key}": float(value) for key, value in numbers.items()}
    return _event("progressed", numbers=named, step=int(step))


def stage(run: Run, stage: Stage) -> Event:
    numbers = {key if "/" in key else f"cost/{key}/{stage.name}": float(value) for key, value in stage.numbers.items()}
    numbers |= {**scalars(stage.records), **_of_what(stage.records)}
    lines = {
        key: {str(step): float(value) for step, value in curve.items()} for key, curve in curves(stage.records).items()
    }
    return _event(
        "stage",
        name=stage.name,
        dataset=f"{run.tags.get('thalweg.dataset', run.name)}/{stage.name}",
        store=credentials.masked(stage.store),
        digest=stage.digest,
        numbers=numbers,
        curves=lines,
        files=dict(stage.files),
    )


def _of_what(records: Iterable[Record]) -> dict[str, float]:
    """How much each metric counted, and which part of the truth's points was answered: once a metric and variant."""
    found: dict[str, float] = {}
    for each in records:
        if each.lead is None and each.options:
            found.setdefault(f"{each.variant}/{each.metric}/count", each.count)
            found.setdefault(f"{each.variant}/{each.metric}/coverage", each.coverage)
    return found


def finished(error: BaseException | None) -> Event:
    status = "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "KILLED"
    return _event(
        "finished", status=status, error="" if error is None else credentials.masked(f"{type(error).__name__}: {error}")
    )


def flattened(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Leaves by their path, as in `preprocess.0.windows.inputs`."""
    if isinstance(tree, Mapping | list | tuple) and tree:
        pairs = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        for key, value in pairs:
            yield from flattened(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree if isinstance(tree, str) else json.dumps(tree, default=str)


def _event(kind: str, **content: Any) -> Event:
    return {"event": kind, "time": time.time_ns() // 1_000_000, **content}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
