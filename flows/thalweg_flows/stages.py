"""A stage as a Prefect task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from thalweg.credentials import masked
from thalweg.pipeline import Execution


class Reference(TypedDict):
    """What one task hands to the next: where a stage is, and plain numbers. Never fields."""

    stage: str
    store: str
    digest: str
    reused: bool
    numbers: Mapping[str, float]


def stage_task(execution: Execution, name: str, *, label: str) -> Task[[Reference | None], Any]:
    """The task of a stage. It holds the execution, and with it the cluster's client; tasks exchange references."""

    # Prefect's cache knows a pointer: it sees neither a store that was deleted nor a plugin that changed. Core does.
    @task(name=label, cache_policy=NO_CACHE, persist_result=False)
    def stage(before: Reference | None) -> State[Reference]:  # noqa: ARG001
        done = execution.stage(name)
        place = masked(done.store)
        reference = Reference(
            stage=name, store=place, digest=done.digest, reused=done.reused, numbers=dict(done.numbers)
        )
        get_run_logger().info("%s %s %s", name, "reused" if done.reused else "committed", place or "nothing to store")
        if done.reused:
            return Completed(name="Reused", message=f"committed before: {place}", data=reference)
        return Completed(message=place, data=reference)

    return stage
