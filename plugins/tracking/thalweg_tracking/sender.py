"""From events to MLflow, always by an explicit run id.

MLflow's *active run* belongs to a thread: in another one, logging silently opens a new run.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from thalweg import tracker_uri

from .courier import Watch
from .events import Event
from .journal import State, locked
from .place import database

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BATCH = 100
"""Params, tags or metrics in one request; MLflow allows 100 params."""

Entry = TypeVar("Entry")

_FORBIDDEN = re.compile(r"[^\w\-. /:]")


class Sender:
    """Sends the events of one run, and notes in `state` what MLflow has."""

    def __init__(self, state: State, *, uri: str = "", watch: Watch | None = None) -> None:
        self._state = state
        self._database = database(state.tracking_uri)
        watch = watch or Watch()
        self._client = cast("MlflowClient", _Counted(_client(uri or state.tracking_uri, self._database, watch), watch))

    def gone(self) -> bool:
        """Whether the run that `state` names was deleted."""
        from mlflow import MlflowException

        if not self._state.run_id:
            return False
        try:
            return bool(self._client.get_run(self._state.run_id).info.lifecycle_stage != "active")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return True
            raise

    def send(self, events: Sequence[Event]) -> None:
        """Send events of one kind."""
        for event in events:
            if event["event"] == "started":
                self._start(event)
            elif event["event"] == "stage":
                self._stage(event)
            elif event["event"] == "finished":
                self._finish(event)
        self._progress([event for event in events if event["event"] == "progressed"])

    def _start(self, event: Event) -> None:
        state = self._state
        if not state.run_id:
            state.experiment_id = self._experiment(event["experiment"])
            state.run_id = self._run(event)
        self._client.update_run(state.run_id, status="RUNNING")
        have = self._client.get_run(state.run_id).data.params
        # A param cannot be changed, and a resumed run may use another cluster: the first stands.
        self._log(params={key: value for key, value in event["params"].items() if key not in have}, tags=event["tags"])
        self._keep(event["files"])

    def _experiment(self, name: str) -> str:
        from mlflow import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            place = None if self._database is None else (self._database.parent / "mlartifacts").as_uri()
            try:
                return str(self._client.create_experiment(name, artifact_location=place))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = self._client.get_experiment_by_name(name)
            assert found is not None, "another process has just made it"
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _run(self, event: Event) -> str:
        experiment = self._state.experiment_id
        # Also if a process died between making the run and noting its id.
        same = self._client.search_runs([experiment], f"tags.`thalweg.digest` = '{event['digest']}'", max_results=1)
        if same:
            return str(same[0].info.run_id)
        tags = {"thalweg.digest": event["digest"]}
        run = self._client.create_run(experiment, start_time=event["time"], tags=tags, run_name=event["title"])
        return str(run.info.run_id)

    def _progress(self, events: Sequence[Event]) -> None:
        metrics = []
        for event in events:
            for key, value in event["numbers"].items():
                known = self._state.metrics.get(key)
                # A training that goes on from a checkpoint repeats the steps since: the first report stands.
                if known is None or event["step"] > max(map(int, known)):
                    metrics.append((key, value, event["time"], event["step"]))
                    self._state.metrics[key] = {str(event["step"]): value}
        self._metrics(metrics)

    def _stage(self, event: Event) -> None:
        metrics = []
        curves = {**{key: {"0": value} for key, value in event["numbers"].items()}, **event["curves"]}
        for key, curve in curves.items():
            known = self._state.metrics.setdefault(key, {})
            for step, value in curve.items():
                if step not in known or repr(known[step]) != repr(value):
                    metrics.append((key, value, event["time"], int(step)))
                    known[step] = value
        self._metrics(metrics)
        if event["store"]:
            self._input(event)
        self._keep(event["files"])
        card = event["files"].get("card.md")
        if card and Path(card).is_file():
            self._log(tags={"mlflow.note.content": Path(card).read_text(encoding="utf-8")})

    def _input(self, event: Event) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        scheme, separator, _ = event["store"].partition("://")
        source = json.dumps({"uri": event["store"]})
        dataset = Dataset(event["dataset"], event["digest"][:36], scheme if separator else "local", source)
        tags = [InputTag("mlflow.data.context", event["name"])]
        self._client.log_inputs(self._state.run_id, [DatasetInput(dataset, tags)])

    def _finish(self, event: Event) -> None:
        if event["error"]:
            self._log(tags={"thalweg.error": event["error"]})
        elif "thalweg.error" in self._client.get_run(self._state.run_id).data.tags:
            self._client.delete_tag(self._state.run_id, "thalweg.error")
        self._client.set_terminated(self._state.run_id, event["status"], end_time=event["time"])

    def _keep(self, files: Mapping[str, str]) -> None:
        """Files at their paths in the run; one that is no longer there is left out."""
        for name, local in files.items():
            folder = str(Path(name).parent) if "/" in name else None
            if not Path(local).is_file():
                continue
            if Path(local).name == Path(name).name:
                self._client.log_artifact(self._state.run_id, local, folder)
                continue
            with tempfile.TemporaryDirectory() as place:
                renamed = shutil.copy(local, Path(place) / Path(name).name)
                self._client.log_artifact(self._state.run_id, str(renamed), folder)

    def _metrics(self, metrics: Sequence[tuple[str, float, int, int]]) -> None:
        from mlflow.entities import Metric

        for some in _batches(metrics):
            made = [Metric(_name(key), value, when, step) for key, value, when, step in some]
            self._client.log_batch(self._state.run_id, metrics=made)

    def _log(self, *, params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None) -> None:
        from mlflow.entities import Param, RunTag

        for some in _batches((params or {}).items()):
            made = [Param(_name(key), value) for key, value in some]
            self._client.log_batch(self._state.run_id, params=made)
        for some in _batches((tags or {}).items()):
            self._client.log_batch(self._state.run_id, tags=[RunTag(_name(key), value) for key, value in some])


class _Counted:
    """A client whose answers are counted: who waits for it sees that it lives."""

    def __init__(self, client: MlflowClient, watch: Watch) -> None:
        self._client, self._watch = client, watch

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            answer = call(*args, **kwargs)
            self._watch.calls += 1
            return answer

        return counted


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    some = list(entries)
    for start in range(0, len(some), _BATCH):
        yield some[start : start + _BATCH]


def _name(key: str) -> str:
    return _FORBIDDEN.sub("_", key)[:250]


def prepare() -> None:
    """Import MLflow, with limits that fit a courtesy: by default it waits, and tries again, for minutes."""
    quick = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    # What it prints of its own accord holds the tracker's address, with the password if that has one.
    quiet = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    for name, value in {**quick, **quiet}.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)


def _client(uri: str, file: Path | None, watch: Watch) -> MlflowClient:
    prepare()
    from mlflow import MlflowClient

    if file is None:
        return MlflowClient(tracking_uri=uri)
    file.parent.mkdir(parents=True, exist_ok=True)
    watch.opening = _empty(file)
    try:
        # The first to open a database makes its tables; two at once would make them twice.
        with locked(file.with_name(f"{file.name}.lock"), seconds=60):
            if _empty(file):
                _create(file)
            return MlflowClient(tracking_uri=uri)
    finally:
        watch.opening = False


def _empty(file: Path) -> bool:
    return not file.exists() or not file.stat().st_size


def _create(file: Path) -> None:
    """Make a database elsewhere, and put it in its place when it is whole: MLflow never mends half of one."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as draft:
        MlflowClient(tracking_uri=tracker_uri(Path(draft))).search_experiments(max_results=1)
        (Path(draft) / "mlflow.db").replace(file)
