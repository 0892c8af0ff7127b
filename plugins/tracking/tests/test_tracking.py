"""What reaches MLflow, once, whatever happens on the way."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import thalweg_tracking as plugin
from thalweg import Record
from thalweg.errors import EstimateError
from thalweg.results.run import Run, Stage
from thalweg_tracking import observer
from thalweg_tracking.courier import BUDGET, Courier, Watch
from thalweg_tracking.events import flattened
from thalweg_tracking.journal import Journal, State
from thalweg_tracking.place import link


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds."""
    from thalweg_tracking.sender import Sender

    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    Sender(State(f"sqlite:///{file}"))
    return file


@pytest.fixture
def store(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("THALWEG_TRACKING", "THALWEG_TRACKING_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(observer, "PAUSES", ())
    shutil.copy(empty, tmp_path / "mlflow.db")
    return tmp_path


def _run(store: Path, name: str = "wave", **recipe: Any) -> Run:
    folder = store / "runs" / f"{name}-0123456789"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text("name: wave")
    return Run(
        name,
        "swell",
        f"0123456789{name}".ljust(32, "0"),
        str(folder),
        {"name": name, "train": {"method": {"fno": {"modes": 12}}, "epochs": 3}, "cluster": "threads", **recipe},
        {"thalweg.method": "fno", "thalweg.dataset": "sines", "git.commit": "c0ffee"},
        {"recipe.yaml": str(folder / "recipe.yaml")},
    )


def _record(value: float, *, lead: int | None = None) -> Record:
    return Record("rmse", (), "free", lead, value, 40.0, 0.75, "K", "lower", "{}", 8, "2001-01", "2001-08")


def _scored(run: Run, rmse: float = 0.5) -> Stage:
    folder = Path(run.folder)
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "scores.png").write_bytes(b"png")
    (folder / "card.md").write_text("# wave")
    return Stage(
        "evaluate",
        "/stores/evaluate/abc",
        "e" * 32,
        reused=False,
        numbers={"seconds": 1.5},
        records=(
            _record(rmse),
            _record(0.25, lead=1),
            _record(0.75, lead=2),
            replace(_record(math.nan), metric="csi", variant="held", entry=(("threshold", 74.0),)),
        ),
        files={"figures/scores.png": str(folder / "figures" / "scores.png"), "card.md": str(folder / "card.md")},
    )


def _whole(run: Run, *, rmse: float = 0.5, first: int = 1, last: int = 3, error: BaseException | None = None) -> None:
    plugin.run_started(run)
    for epoch in range(first, last + 1):
        plugin.progressed(run, "train", {"loss/train": 1 / epoch}, epoch)
    if error is None:
        plugin.stage_finished(run, _scored(run, rmse))
    plugin.run_finished(run, error)


def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _runs(uri: str | Path) -> list[Any]:
    client = _client(uri if isinstance(uri, str) else f"sqlite:///{uri / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("swell")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def _history(store: Path, run: Any, key: str) -> list[tuple[int, float]]:
    client = _client(f"sqlite:///{store / 'mlflow.db'}")
    return [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, key)]


def test_a_run_is_one_flat_mlflow_run(store: Path) -> None:
    _whole(_run(store))
    (run,) = _runs(store)
    assert run.info.run_name == "wave/0123456789"
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "name": "wave",
        "train.method.fno.modes": "12",
        "train.epochs": "3",
        "cluster": "threads",
    }
    assert run.data.metrics["free/rmse"] == 0.5
    assert (run.data.metrics["free/rmse/count"], run.data.metrics["free/rmse/coverage"]) == (40, 0.75)
    assert run.data.metrics["cost/seconds/evaluate"] == 1.5
    assert math.isnan(run.data.metrics["held/csi/74"])
    assert _history(store, run, "free/rmse/lead") == [(1, 0.25), (2, 0.75)]
    assert _history(store, run, "free/loss/train") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    tags = run.data.tags
    assert tags["thalweg.digest"].startswith("0123456789wave")
    assert tags["thalweg.method"] == "fno"
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert tags["mlflow.note.content"] == "# wave"
    assert not {"mlflow.parentRunId", "thalweg.error"} & set(tags)
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("sines/evaluate", "e" * 32)
    assert json.loads(given.dataset.source) == {"uri": "/stores/evaluate/abc"}


def test_artifacts_lie_at_fixed_paths_beside_the_store(store: Path) -> None:
    _whole(_run(store))
    (run,) = _runs(store)
    root = store / "mlartifacts" / run.info.run_id / "artifacts"
    found = {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}
    assert found == {"recipe.yaml", "figures/scores.png", "card.md"}


def test_a_resumed_run_is_the_same_run(store: Path) -> None:
    run = _run(store)
    _whole(run, last=4, error=EstimateError("nothing but NaN"))
    (failed,) = _runs(store)
    assert failed.info.status == "FAILED"
    assert failed.data.tags["thalweg.error"] == "EstimateError: nothing but NaN"
    # It goes on from the checkpoint of epoch 2, on another cluster, which is no part of the digest.
    _whole(_run(store, cluster={"local": {"workers": 2}}), first=3, last=6)
    (finished,) = _runs(store)
    assert finished.info.run_id == failed.info.run_id
    assert finished.info.status == "FINISHED"
    assert "thalweg.error" not in finished.data.tags
    assert finished.data.params["cluster"] == "threads"
    assert finished.data.params["cluster.local.workers"] == "2"
    assert [step for step, _ in _history(store, finished, "free/loss/train")] == [1, 2, 3, 4, 5, 6]


def test_the_same_run_again_repeats_nothing(store: Path) -> None:
    for rmse in (0.5, 0.5, 0.25):
        _whole(_run(store), rmse=rmse)
    (run,) = _runs(store)
    assert _history(store, run, "free/rmse") == [(0, 0.5), (0, 0.25)]
    assert run.data.metrics["free/rmse"] == 0.25
    assert len(_history(store, run, "free/loss/train")) == 3
    assert len(_history(store, run, "held/csi/74")) == 1


def test_an_interrupted_run_is_killed_not_failed(store: Path) -> None:
    _whole(_run(store), error=KeyboardInterrupt())
    assert [run.info.status for run in _runs(store)] == ["KILLED"]


def test_the_twin_under_a_law_has_a_curve_of_its_own(store: Path) -> None:
    run = _run(store)
    plugin.run_started(run)
    plugin.progressed(run, "train", {"loss/train": 1.0}, 1)
    plugin.progressed(run, "train-held", {"loss/train": 2.0}, 1)
    plugin.run_finished(run, None)
    metrics = _runs(store)[0].data.metrics
    assert (metrics["free/loss/train"], metrics["held/loss/train"]) == (1.0, 2.0)


def test_other_threads_open_no_runs(store: Path) -> None:
    run = _run(store)
    plugin.run_started(run)
    for epoch in range(3):
        thread = threading.Thread(target=plugin.progressed, args=(run, "train", {"loss/train": 1.0}, epoch))
        thread.start()
        thread.join()
    plugin.run_finished(run, None)
    (one,) = _runs(store)
    assert len(_history(store, one, "free/loss/train")) == 3


def test_a_process_that_died_after_sending_repeats_nothing(store: Path) -> None:
    run = _run(store)
    _whole(run)
    before = _runs(store)
    (Path(run.folder) / "mlflow.json").unlink()
    assert observer.drain(run.folder) == 0
    (after,) = _runs(store)
    assert after.info.run_id == before[0].info.run_id
    for key in ("free/loss/train", "free/rmse", "free/rmse/lead"):
        assert _history(store, after, key) == _history(store, before[0], key)
        assert len({step for step, _ in _history(store, after, key)}) == len(_history(store, after, key))


def test_a_line_cut_short_does_not_spoil_the_next(store: Path) -> None:
    journal = Journal(_run(store).folder)
    journal.append({"event": "one"})
    with journal.spool.open("ab") as file:
        file.write(b'{"event": "tw')
    assert [event["event"] for event, _ in journal.waiting(None)] == ["one"]
    journal.append({"event": "three"})
    assert [event["event"] for event, _ in journal.waiting(None)] == ["one", "three"]


def test_a_run_deleted_in_mlflow_is_written_anew(store: Path) -> None:
    _whole(_run(store))
    (first,) = _runs(store)
    _client(f"sqlite:///{store / 'mlflow.db'}").delete_run(first.info.run_id)
    _whole(_run(store))
    (second,) = _runs(store)
    assert second.info.run_id != first.info.run_id
    assert len(_history(store, second, "free/loss/train")) == 3


def test_another_tracker_gets_the_whole_run(store: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _run(store)
    _whole(run, last=2, error=EstimateError("stop"))
    other = store / "other"
    other.mkdir()
    shutil.copy(empty, other / "mlflow.db")
    monkeypatch.setenv("THALWEG_TRACKING_URI", f"sqlite:///{other / 'mlflow.db'}")
    _whole(run, first=3)
    (moved,) = _runs(other)
    assert [step for step, _ in _history(other, moved, "free/loss/train")] == [1, 2, 3]
    assert [each.info.status for each in _runs(store)] == ["FAILED"]
    assert (other / "mlartifacts" / moved.info.run_id / "artifacts" / "recipe.yaml").is_file()


def test_a_tracker_that_is_down_is_reported_and_gets_all_later(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    uri = _refused()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    run = _run(store)
    with caplog.at_level(logging.WARNING, "thalweg"):
        _whole(run)
    down, waiting = caplog.messages
    assert down.startswith(f"MLflow at {uri} does not answer; the run goes on (")
    assert waiting.startswith("6 events of wave/0123456789 are not in MLflow yet: they wait in ")
    assert json.loads((Path(run.folder) / "links.json").read_text())["mlflow"].startswith("not there yet: ")
    # The tracker comes back, here under another name: the next run of anything sends them.
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    file = Path(run.folder) / "mlflow.json"
    file.write_text(file.read_text().replace(uri, f"sqlite:///{store / 'mlflow.db'}"))
    _whole(_run(store, "ripple"))
    runs = {each.info.run_name: each for each in _runs(store)}
    assert set(runs) == {"wave/0123456789", "ripple/0123456789"}
    assert len(_history(store, runs["wave/0123456789"], "free/loss/train")) == 3
    assert {each.info.status for each in runs.values()} == {"FINISHED"}


def test_a_tracker_of_a_kind_that_mlflow_gave_up_does_not_end_a_run(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("THALWEG_TRACKING_URI", f"file:{store / 'mlruns'}")
    _whole(_run(store))
    assert "does not answer" in caplog.messages[0]
    assert len(list(Journal(_run(store).folder).waiting(None))) == 6


@pytest.mark.slow
def test_events_reach_a_server_that_starts_late(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = _refused()
    monkeypatch.setenv("THALWEG_TRACKING_URI", uri)
    run = _run(store)
    _whole(run)
    with _server(store, uri):
        _whole(_run(store, "ripple"))
        # On a busy machine the budget may end before all is sent.
        while any(observer.drain_store(store).values()):
            time.sleep(0.1)
        assert {each.info.run_name for each in _runs(uri)} == {"wave/0123456789", "ripple/0123456789"}
        names = [each.path for each in _client(uri).list_artifacts(_runs(uri)[0].info.run_id)]
        assert set(names) == {"recipe.yaml", "figures", "card.md"}
        assert link(run.folder) == f"{uri}/#/experiments/1/runs?compareRunsMode=CHART"
        assert observer.drain_store(store) == {}


@pytest.mark.slow
def test_two_processes_may_make_one_database(store: Path, tmp_path: Path) -> None:
    (store / "mlflow.db").unlink()
    script = (
        "import sys\nfrom thalweg.results.run import Run\nimport thalweg_tracking as plugin\n"
        "name, folder = sys.argv[1:]\n"
        "run = Run(name, 'swell', name * 8, folder, {'name': name}, {})\n"
        "plugin.run_started(run)\n"
        "for step in range(1, 21): plugin.progressed(run, 'train', {'loss/train': 1 / step}, step)\n"
        "plugin.run_finished(run, None)\n"
    )
    environment = {**os.environ, "THALWEG_TRACKING": "on"}
    started = [
        subprocess.Popen([sys.executable, "-c", script, name, str(tmp_path / "runs" / name)], env=environment)
        for name in ("wave", "tide")
    ]
    assert [process.wait() for process in started] == [0, 0]
    runs = _runs(store)
    assert {run.info.run_name: run.info.status for run in runs} == {
        "wave/wavewavewa": "FINISHED",
        "tide/tidetideti": "FINISHED",
    }
    assert all(len(_history(store, run, "free/loss/train")) == 20 for run in runs)


@pytest.mark.fault("command line", "a run is killed while MLflow makes its database: the next one makes a whole one")
def test_a_database_is_whole_or_not_there(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (store / "mlflow.db").unlink()

    def dies(*_: object) -> None:
        raise OSError("killed after the first tables")

    monkeypatch.setattr("mlflow.store.db.utils._upgrade_db", dies)
    _whole(_run(store))
    assert "killed after the first tables" in caplog.text
    assert not (store / "mlflow.db").exists()
    monkeypatch.undo()
    monkeypatch.setenv("THALWEG_TRACKING", "on")
    _whole(_run(store))
    assert [run.info.status for run in _runs(store)] == ["FINISHED"]


def test_the_link_opens_the_charts(store: Path) -> None:
    run = _run(store)
    _whole(run)
    line = json.loads((Path(run.folder) / "links.json").read_text())["mlflow"]
    assert (
        line
        == link(run.folder)
        == (
            f"mlflow ui --backend-store-uri sqlite:///{store / 'mlflow.db'} --port 5000   "
            "then http://127.0.0.1:5000/#/experiments/1/runs?compareRunsMode=CHART"
        )
    )


def test_off_is_off(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_TRACKING", "off")
    _whole(_run(store))
    assert not Journal(_run(store).folder).spool.exists()


def test_the_plugin_imports_no_mlflow_until_it_sends() -> None:
    code = (
        "import sys, thalweg_tracking\nfrom thalweg_tracking import events, observer, journal, place\n"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_flattened_keeps_every_leaf() -> None:
    tree = {"a": {"b": [1, {"c": None}], "d": {}}, "e": "text", "f": []}
    assert dict(flattened(tree)) == {"a.b.0": "1", "a.b.1.c": "null", "a.d": "{}", "e": "text", "f": "[]"}


def _refused() -> str:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def _server(store: Path, uri: str) -> Iterator[None]:
    """A real MLflow server."""
    options = ["--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}"]
    options += ["--artifacts-destination", (store / "served").as_uri(), "--workers", "1"]
    options += ["--host", "127.0.0.1", "--port", uri.rpartition(":")[2]]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        start_new_session=True,
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.5)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


# --- a tracker is a courtesy


class Clock:
    """Time that passes when it is looked at."""

    def __init__(self, step: float) -> None:
        self.now, self.step, self.looks = 0.0, step, 0

    def __call__(self) -> float:
        self.looks += 1
        self.now += self.step
        return self.now


def _hanging(*, local: bool) -> tuple[Courier, threading.Event]:
    hang = threading.Event()

    def own(_: Watch) -> int:
        hang.wait(60)
        return 0

    return Courier("run", own=own, others=lambda: None, local=local), hang


@pytest.mark.fault("servers", "a tracker that never answers: the run waits 5 s in all, and goes on")
@pytest.mark.parametrize("local", [False, True])
def test_a_tracker_that_hangs_is_left_behind(local: bool) -> None:
    courier, hang = _hanging(local=local)
    courier.start()
    clock = Clock(1.0)
    courier.end(clock=clock, pause=0.001)
    assert clock.looks <= BUDGET + 2
    assert courier.is_alive()
    hang.set()
    courier.join(10)


def test_a_local_database_is_waited_for_while_it_makes_progress() -> None:
    sent: list[int] = []
    gate = threading.Semaphore(0)

    def own(watch: Watch) -> int:
        for _ in range(20):
            gate.acquire()
            watch.calls += 1
            sent.append(1)
        return 0

    class Progress(Clock):
        def __call__(self) -> float:
            gate.release()
            time.sleep(0.01)
            return super().__call__()

    courier = Courier("run", own=own, others=lambda: None, local=True)
    courier.start()
    courier.end(clock=Progress(1.0), pause=0.001)
    assert len(sent) == 20


def test_a_tracker_that_failed_is_not_waited_for() -> None:
    def own(watch: Watch) -> int:
        watch.failing = True
        return 3

    courier = Courier("run", own=own, others=lambda: None, local=False)
    courier.start()
    courier.tell()
    for _ in range(1000):
        if courier._watch.failing:
            break
        time.sleep(0.01)
    clock = Clock(1.0)
    courier.end(clock=clock, pause=0.001)
    assert clock.looks <= 2


WRONG: dict[str, Callable[[Any], None]] = {
    "answers 500": lambda asked: asked.answer(b"{}", 500),
    "answers 404": lambda asked: asked.answer(b"", 404),
    "answers a page of HTML": lambda asked: asked.answer(b"<html>hello</html>"),
    "answers JSON of another kind": lambda asked: asked.answer(b"[1, 2]"),
    "resets every connection": lambda asked: asked.reset(),
    "breaks off every answer": lambda asked: asked.answer(b"{" + b" " * 100, cut=50),
}


@pytest.mark.fault("servers", "a tracker that {id}: one warning, and the events wait on disk")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", WRONG)
def test_a_tracker_that_is_wrong_costs_a_warning(
    store: Path, serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    server = serve(WRONG[fault])
    monkeypatch.setenv("THALWEG_TRACKING_URI", server.url.replace("http://", "http://me:planted-password@"))
    run = _run(store)
    with caplog.at_level(logging.WARNING, "thalweg"):
        _whole(run)
    assert len(caplog.messages) == 2, caplog.messages
    assert "does not answer" in caplog.messages[0]
    assert len(list(Journal(run.folder).waiting(None))) == 6
    left = b"".join(file.read_bytes() for file in Path(run.folder).rglob("*") if file.is_file())
    assert b"planted" not in left
    assert "planted" not in caplog.text
    # Each try is one call; then the tracker is left alone.
    assert len(server.asked) <= len(observer.PAUSES) + 1


@pytest.mark.fault("servers", "other runs in the store report to a tracker that hangs: it is not asked at all")
@pytest.mark.timeout(120)
def test_trackers_of_other_runs_are_left_alone(store: Path, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(lambda asked: asked.answer(b"", 500))
    monkeypatch.setenv("THALWEG_TRACKING_URI", server.url)
    for name in ("wave", "tide"):
        _whole(_run(store, name))
    asked = len(server.asked)
    monkeypatch.delenv("THALWEG_TRACKING_URI")
    _whole(_run(store, "ripple"))
    assert [run.info.run_name for run in _runs(store)] == ["ripple/0123456789"]
    assert len(server.asked) == asked


@pytest.mark.fault("servers", "the notes on what was sent are left empty, cut or foreign: all is sent again, once")
@pytest.mark.parametrize("content", ["", "{", "[]", '{"tracking_uri": 5}', '{"tracking_uri": "x", "elsewhere": []}'])
def test_notes_that_were_cut_are_made_again(store: Path, content: str) -> None:
    run = _run(store)
    _whole(run)
    (Path(run.folder) / "mlflow.json").write_text(content)
    (Path(run.folder) / "links.json").write_text(content)
    _whole(run)
    (one,) = _runs(store)
    assert one.info.status == "FINISHED"
    assert len(_history(store, one, "free/loss/train")) == 3


def test_lines_of_a_spool_that_are_no_events_are_passed_over(store: Path) -> None:
    run = _run(store)
    Path(run.folder, "spool.jsonl").write_bytes(b"5\n[]\nnull\n\xff\n{}\n")
    _whole(run)
    assert [each.info.status for each in _runs(store)] == ["FINISHED"]
