"""How a command ends: by a signal, in a store with an odd name, on a remote store, with files cut short."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fresh
import psutil
import pytest
from thalweg.commands.cli import app
from thalweg.commands.ending import GOES_ON, answering_sigterm
from thalweg.errors import CorruptError, Terminated
from thalweg.results.folders import links, local_root, read_run, tracker_uri
from thalweg.stores.sealed import sealed
from thalweg.stores.store import Store
from typer.testing import CliRunner

Recipes = Callable[..., Path]


def slowly(*arguments: str) -> None:
    """The command line, which says and rests after each block that it writes."""
    from thalweg.stores import blocks

    # Whoever started the tests in the background may have had it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    put = blocks.put

    def rests(*given: Any) -> None:
        put(*given)
        sys.stdout.write("written\n")
        sys.stdout.flush()
        time.sleep(2)

    blocks.put = rests  # type: ignore[assignment]
    fresh.thalweg(*arguments)


@pytest.mark.fault("command line", "{id} while a stage is written: one line, KILLED in MLflow")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "word", "code"),
    [(signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interrupted", 130)],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_ends_a_run_in_one_line(
    recipe: Recipes, tmp_path: Path, number: signal.Signals, word: str, code: int
) -> None:
    store = tmp_path / "store"
    options = ["--store", str(store), "--set", "cluster={threads: {threads: 1}}"]
    tracked = {**os.environ, "THALWEG_TRACKING": "on"}
    running = fresh.Forked(slowly, "run", str(recipe()), *options, environment=tracked)
    running.printed("written")
    os.kill(running.process.pid or 0, number)
    done = running.ended()
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == f"{word}: the same command goes on from the last committed stage"
    assert "Traceback" not in done.stderr
    spool = next(store.glob("runs/*/spool.jsonl"))
    assert json.loads(spool.read_text().splitlines()[-1])["status"] == "KILLED"


ALL = """
import signal, sys, threading, time
import cloudpickle
from thalweg.cluster import cluster_from
from thalweg.commands.ending import answering_sigterm
from thalweg.commands.console import log_to_console
from thalweg.errors import Terminated
def rest(seconds):
    import numcodecs.blosc  # makes a lock of multiprocessing
    print("begun", flush=True)
    time.sleep(seconds)
if __name__ == "__main__":
    cloudpickle.register_pickle_by_value(sys.modules["__main__"])
    log_to_console(verbose=False)
    try:
        with answering_sigterm(), cluster_from({"local": {"workers": 2}}).open() as workers:
            workers.map(rest, [600, 600])
    except Terminated:
        sys.exit(143)
"""


@pytest.mark.fault("command line", "SIGTERM to a run and its workers, as `timeout` sends it: no word of the engine's")
@pytest.mark.slow
def test_a_signal_to_all_processes_ends_a_cluster_in_silence(tmp_path: Path) -> None:
    script = tmp_path / "all.py"
    script.write_text(ALL)
    running = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert running.stdout is not None
        assert [running.stdout.readline() for _ in range(2)] == [b"begun\n"] * 2
        for worker in psutil.Process(running.pid).children():
            worker.terminate()
        time.sleep(1)  # a worker that ended would be started again
        running.terminate()
        _, stderr = running.communicate(timeout=120)
    finally:
        running.kill()
    assert (running.returncode, stderr) == (143, b"")


def test_only_a_run_goes_on_from_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("thalweg.recipes.registry.Registry.installed", interrupted)
    assert CliRunner().invoke(app, ["plan", "recipe.yaml"]).output == "interrupted\n"
    run = CliRunner().invoke(app, ["run", "recipe.yaml"])
    assert (run.exit_code, run.output) == (130, f"interrupted: {GOES_ON}\n")


def test_sigterm_is_answered_once_and_handed_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), answering_sigterm():
        signal.raise_signal(signal.SIGTERM)
    # What is being closed must not be cut short by a second one.
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, before)
    with answering_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


ODD = ["a b", "q?x=1&y", "h#y", "100% p%20q", "ünï", "a::b", "[b]*", "$HOME", "it's"]
TOGETHER = ["a b [c]* it's 100% p%20q", "q?x=1&y $HOME ünï", "h#y", "a::b"]
"""The same in fewer names, for a whole run takes seconds."""


@pytest.mark.bad_input("command line", "a store whose path holds {id}: all stays inside, printed commands work")
@pytest.mark.parametrize("name", TOGETHER)
def test_a_store_may_have_any_name(recipe: Recipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    done = CliRunner().invoke(app, ["run", str(recipe()), "--store", str(inside / name)])
    assert done.exit_code == 0, done.output
    assert [each.name for each in inside.iterdir()] == [name]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("compare")]
    again = CliRunner().invoke(app, shlex.split(line)[2:])
    assert again.exit_code == 0, again.output
    assert "rmse" in again.output
    reused = CliRunner().invoke(app, ["plan", str(recipe()), "--store", str(inside / name)])
    assert "run    " not in reused.output


@pytest.mark.parametrize("name", ODD)
def test_the_tracker_of_a_store_is_a_file_inside_it(tmp_path: Path, name: str) -> None:
    import sqlalchemy

    (tmp_path / name).mkdir()
    with sqlalchemy.create_engine(tracker_uri(tmp_path / name)).connect() as connection:
        connection.execute(sqlalchemy.text("create table x (y int)"))
    assert (tmp_path / name / "mlflow.db").stat().st_size > 0
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.fixture
def finished(recipe: Recipes, tmp_path: Path) -> tuple[Path, Path]:
    """A recipe that ran, and the folder of its run."""
    file = recipe()
    done = CliRunner().invoke(app, ["run", str(file), "--store", str(tmp_path / "store")])
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "store" / "runs").iterdir()
    return file, folder


CUT = [b"", b'{"name": "wa', b"\xff\xfe", b"[1]", b"5", b"null", b"[" * 10_000]


@pytest.mark.fault("command line", "links.json, run.json and the manifests of a store are left empty, cut or foreign")
def test_a_file_that_was_cut_costs_one_line_at_most(finished: tuple[Path, Path]) -> None:
    recipe, folder = finished
    store = str(folder.parent.parent)
    run = CliRunner()
    for content in CUT:
        (folder / "links.json").write_bytes(content)
        assert links(folder) == {}
        again = run.invoke(app, ["run", str(recipe), "--store", store])
        assert again.exit_code == 0, again.output
        record = (folder / "run.json").read_bytes()
        (folder / "run.json").write_bytes(content)
        for command in ("compare", "cite"):
            done = run.invoke(app, [command, "wave", "--store", store])
            assert done.exit_code in (1, 2), done.output
            assert "run.json" in done.output or "no finished run" in done.output
            assert "Traceback" not in done.output
        (folder / "run.json").write_bytes(record)
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()
    assert run.invoke(app, ["compare", "wave", "--store", store]).exit_code == 1


def test_two_runs_of_one_recipe_stand_side_by_side(recipe: Recipes, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    for modes in (2, 3):
        override = f"train.method.linear-inverse-model.modes={modes}"
        assert CliRunner().invoke(app, ["run", str(recipe()), "--store", store, "--set", override]).exit_code == 0
    names = sorted(each.name for each in (tmp_path / "store" / "runs").iterdir())
    done = CliRunner().invoke(app, ["compare", *names, "--store", store])
    scores, _, differences = done.output.partition("difference from wave/")
    assert scores.count("free") == 2
    assert "±" in differences
    assert "train.method.linear-inverse-model.modes: " in differences
    assert CliRunner().invoke(app, ["compare", "wave", "--store", store]).exit_code == 2


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A bucket of a server on loopback that speaks S3."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    import boto3
    import s3fs

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "planted-id",
        "AWS_SECRET_ACCESS_KEY": "planted-secret",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="forecasts")
    s3fs.S3FileSystem.clear_instance_cache()
    yield "s3://forecasts/waves"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.fault("servers", "a store on S3: `compare` and `cite` find what `run` printed, on another machine too")
@pytest.mark.slow
def test_runs_of_a_remote_store_are_found(
    bucket: str, recipe: Recipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(app, ["run", str(recipe()), "--store", bucket])
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("compare")]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    again = CliRunner().invoke(app, shlex.split(line)[2:])
    assert again.exit_code == 0, again.output
    assert "rmse" in again.output
    assert CliRunner().invoke(app, ["cite", "wave", "--store", bucket]).exit_code == 0
    assert read_run("wave", Store(bucket))["name"] == "wave"


REFUSED = {
    "the wrong bucket": ({}, "s3://other/waves"),
    "no key": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}, ""),
    "a dead endpoint": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ""),
    "an endpoint that is no URL": ({"AWS_ENDPOINT_URL": "nowhere"}, ""),
}


@pytest.mark.bad_input("servers", "a store on S3 with {id}")
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", REFUSED)
def test_a_bucket_that_cannot_be_used_is_one_line(
    bucket: str, recipe: Recipes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    variables, url = REFUSED[case]
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    done = CliRunner().invoke(app, ["run", str(recipe()), "--store", url or bucket])
    assert done.exit_code in (1, 2), done.output
    assert "Traceback" not in done.output
    assert "planted" not in done.output
    assert len(done.output.splitlines()) <= 4, done.output


def test_records_of_a_remote_store_lie_in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    roots = ["s3://a/b", "s3://a-b", "s3://a/b c", "ftp://me:planted@host/x"]
    places = [local_root(Store(root)) for root in roots]
    assert len(set(places)) == len(roots)
    assert all(place.parent == tmp_path / "thalweg" for place in places)
    assert "planted" not in str(places)
    assert local_root(Store("ftp://me:other@host/x")) == places[-1]


def test_a_record_that_no_run_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    whole: dict[str, object] = {"name": "a", "digest": "", "records": [], "cite": []}
    for wrong in ({"name": 1}, {"records": [1]}, {"records": [{"metric": "x"}]}, {"cite": None}):
        content = {**whole, **wrong}
        (tmp_path / "runs" / "a" / "run.json").write_bytes(sealed(content))
        with pytest.raises(CorruptError, match="is not what this version of a run writes"):
            read_run("a", Store(tmp_path))
