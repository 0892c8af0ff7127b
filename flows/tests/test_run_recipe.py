"""The flow: five tasks, one cluster, reuse that Prefect shows, scores that it keeps."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import State, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowRunFilter, FlowRunFilterId
from prefect.events.worker import EventsWorker
from prefect.exceptions import TerminationSignal
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from thalweg.cluster.threads import Threads
from thalweg.errors import OptionError
from thalweg.results.run import STAGES
from thalweg_earth.methods.persistence import Persistence
from thalweg_flows import run_recipe

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]


@pytest.fixture(scope="module", autouse=True)
def _served(prefect: Any) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect.url}):
        yield
        # What is still to be sent when the server is gone, is tried for a minute.
        APILogWorker.drain_all(timeout=5)
        EventsWorker.drain_all()


@pytest.fixture(autouse=True)
def _no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_TRACKING", "off")


def _tasks(state: State[Any]) -> dict[str, str]:
    """Names of the flow run's tasks and of their states, in order, when the server has noted them all."""

    async def ask() -> list[Any]:
        async with get_client() as client:
            this = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
            return await client.read_task_runs(flow_run_filter=this)

    EventsWorker.drain_all()
    before: dict[str, str] = {}
    for _ in range(50):
        runs = asyncio.run(ask())
        if all(run.start_time is not None and run.state.is_final() for run in runs):
            found = {run.name.rsplit("-", 1)[0]: run.state.name for run in sorted(runs, key=lambda run: run.start_time)}
            if found == before:
                return found
            before = found
        time.sleep(0.4)
    raise AssertionError("the server did not note all tasks within 20 s")


def _artifacts(key: str) -> list[Any]:
    async def ask() -> list[Any]:
        async with get_client() as client:
            return await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))

    return asyncio.run(ask())


def test_the_stages_are_the_tasks_and_what_is_committed_is_reused(recipe: Path) -> None:
    first = run_recipe(str(recipe), return_state=True)
    # Persistence has nothing to learn, so its `train` leaves nothing to be reused.
    assert _tasks(first) == dict.fromkeys(STAGES, "Completed")
    again = run_recipe(str(recipe), return_state=True)
    assert _tasks(again) == {**dict.fromkeys(STAGES, "Reused"), "train": "Completed"}
    assert again.result() == first.result()
    shutil.rmtree(next((recipe.parent / "store" / "estimate").iterdir()))
    third = run_recipe(str(recipe), return_state=True)
    assert _tasks(third)["constrain"] == "Completed"
    assert _tasks(third)["ingest"] == "Reused"


def test_several_methods_share_one_cluster(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Threads] = []
    start = Threads.open

    def counted(cluster: Threads) -> Any:
        opened.append(cluster)
        return start(cluster)

    monkeypatch.setattr(Threads, "open", counted)
    both = "train.method=[persistence, {linear-inverse-model: {modes: 2, lag: 1, weights: none}}]"
    state = run_recipe(str(recipe), set=[both], cluster={"threads": {"threads": 1}}, return_state=True)
    assert [cluster.threads for cluster in opened] == [1]
    methods = ("persistence", "linear-inverse-model")
    assert list(_tasks(state)) == [f"{stage} {method}" for method in methods for stage in STAGES]
    assert _tasks(state)["ingest linear-inverse-model"] == "Reused"
    tables = state.result()
    assert [title.split("/")[0] for title in tables] == ["tide-persistence", "tide-linear-inverse-model"]
    assert all(row["free"] > 0 for table in tables.values() for row in table if row["metric"] == "rmse")


def test_the_scores_are_kept_as_an_artifact(recipe: Path) -> None:
    (title,) = run_recipe(str(recipe))
    (artifact,) = [each for each in _artifacts("scores-tide") if each.description == title]
    assert "| rmse |" in artifact.data


def test_a_wrong_recipe_fails_before_anything_is_started(recipe: Path) -> None:
    state = run_recipe(str(recipe), set=["train.method=persistance"], return_state=True)
    assert state.is_failed()
    assert _tasks(state) == {}
    assert not (recipe.parent / "store").exists()
    with pytest.raises(LookupError, match="did you mean 'persistence'"):
        state.result()
    with pytest.raises(OptionError):
        run_recipe(str(recipe), cluster="locl")


@pytest.mark.fault("servers", "SIGTERM to a flow run: MLflow says KILLED, and the next flow run goes on")
def test_what_is_terminated_is_closed_and_goes_on(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, mlflow_runs: Any
) -> None:
    store = recipe.parent / "store"
    solve = Persistence.solve

    def ended(self: Persistence, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(Persistence, "solve", solve)
        os.kill(os.getpid(), signal.SIGTERM)
        return solve(self, *args, **kwargs)

    monkeypatch.setenv("THALWEG_TRACKING", "on")
    monkeypatch.setattr(Persistence, "solve", ended)
    # Prefect raises the signal once more, when the flow run is closed: here it would end the tests.
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with pytest.raises(TerminationSignal):
            run_recipe(str(recipe))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert [run.info.status for run in mlflow_runs(store)] == ["KILLED"]
    assert "Reused" in _tasks(run_recipe(str(recipe), return_state=True)).values()
    assert [run.info.status for run in mlflow_runs(store)] == ["FINISHED"]
