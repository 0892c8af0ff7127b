"""Who may commit a stage: one of many, never one that was paused, and never by the word of a clock or a pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import fsspec
import numpy as np
import pytest
import xarray as xr
from fsspec.implementations.memory import MemoryFileSystem
from thalweg.errors import StoreError, SupersededError
from thalweg.stores import lease as leases
from thalweg.stores.arrays import lay_out, put, read
from thalweg.stores.attempt import Attempt, mark
from thalweg.stores.claims import claims_of
from thalweg.stores.committed import Committed
from thalweg.stores.conditional import create
from thalweg.stores.files import write_bytes
from thalweg.stores.store import Store
from thalweg.stores.watch import ALIVE, DEAD, Watch

WRITER = [sys.executable, str(Path(__file__).with_name("store_writer.py"))]
DIGEST = "d" * 32
RECORD = {"stage": "ingest", "digest": DIGEST}


def finish(attempt: Attempt) -> Committed:
    write_bytes(attempt.url("data/value"), b"42")
    return attempt.commit(RECORD, numbers={"value": 42.0})


@contextmanager
def writer(*arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*prefix, *WRITER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.02)


def manifests(root: Path) -> list[str]:
    return sorted(each.name for each in root.glob("ingest/*/manifest-*"))


@pytest.mark.fault("stores", "eight processes start the same stage at once")
def test_one_of_eight_commits_and_the_others_use_it(tmp_path: Path) -> None:
    started = [
        subprocess.Popen([*WRITER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    said = sorted(each.communicate(timeout=200)[0].strip() for each in started)
    assert said == ["committed", *["reused"] * 7]
    assert manifests(tmp_path) == ["manifest-000001.json"]
    assert len(list(tmp_path.glob("ingest/*/attempt-*"))) == 1


@pytest.mark.fault("stores", "four processes in PID namespaces of their own, where all have the same pid")
def test_pid_namespaces_tell_nothing(tmp_path: Path) -> None:
    apart = ("unshare", "--pid", "--fork", "--mount-proc")
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("PID namespaces are not permitted here")
    started = [
        subprocess.Popen([*apart, *WRITER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = sorted(each.communicate(timeout=200)[0].strip() for each in started)
    assert said == ["committed", *["reused"] * 3]


@pytest.mark.fault("stores", "a run is paused past its lease, and another commits the stage meanwhile")
def test_a_paused_owner_uses_what_another_committed(tmp_path: Path) -> None:
    with writer(str(tmp_path), "--lease", "0.6", "--folder", str(tmp_path)) as paused:
        wait_for(tmp_path / "ready")
        os.kill(paused.pid, signal.SIGSTOP)
        with Store(tmp_path, lease=0.6).attempt("ingest", DIGEST, patience=60) as attempt:
            assert attempt.marks() == {"value"}
            mine = finish(attempt)
        (tmp_path / "go").touch()
        os.kill(paused.pid, signal.SIGCONT)
        said, warned = paused.communicate(timeout=60)
        assert said.strip() == "reused"
        assert "another run committed this stage first, and its result is used" in warned
    assert Store(tmp_path).find("ingest", DIGEST) == mine
    assert manifests(tmp_path) == ["manifest-000001.json"]


@pytest.mark.fault("stores", "a run is paused past its lease, and another is still at the stage when it wakes up")
def test_a_paused_owner_cannot_commit(tmp_path: Path) -> None:
    with writer(str(tmp_path), "--lease", "0.6", "--folder", str(tmp_path)) as paused:
        wait_for(tmp_path / "ready")
        os.kill(paused.pid, signal.SIGSTOP)
        with Store(tmp_path, lease=0.6).attempt("ingest", DIGEST, patience=60) as attempt:
            (tmp_path / "go").touch()
            os.kill(paused.pid, signal.SIGCONT)
            said, why = paused.communicate(timeout=60)
            assert said.strip() == "SupersededError"
            assert "this run was paused for longer than its lease of 0.6 s, and process " in why
            assert manifests(tmp_path) == []
            mine = finish(attempt)
    assert Store(tmp_path).find("ingest", DIGEST) == mine


@pytest.mark.fault("stores", "kill -9 of a run: the next one takes its finished regions over at once")
def test_a_killed_owner_is_followed_at_once(tmp_path: Path) -> None:
    """The lease is an hour: only the lock, which the kernel frees, can tell."""
    if not leases.locks_tell(str(tmp_path)):
        pytest.skip("the file system of the tests has no locks of this machine")
    with writer(str(tmp_path), "--lease", "3600", "--folder", str(tmp_path)) as killed:
        wait_for(tmp_path / "ready")
        killed.kill()
        killed.wait()
        with Store(tmp_path, lease=3600).attempt("ingest", DIGEST, patience=60) as attempt:
            assert attempt.marks() == {"value"}
            finish(attempt)
    assert len(list(tmp_path.glob("ingest/*/attempt-*"))) == 1


@pytest.mark.fault("stores", "kill -9 of a run where locks tell nothing (NFS, object stores, another machine)")
def test_a_killed_owner_is_followed_after_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LOCAL", frozenset())
    with writer(str(tmp_path), "--lease", "0.6", "--folder", str(tmp_path)) as killed:
        wait_for(tmp_path / "ready")
        killed.kill()
        killed.wait()
        with Store(tmp_path, lease=0.6).attempt("ingest", DIGEST, patience=60) as attempt:
            assert attempt.marks() == {"value"}


@pytest.mark.fault("stores", "the clock of a live run is stepped by {id}")
@pytest.mark.parametrize("step", [1.0, -1.0, 3600.0, -3600.0], ids=["+1 s", "-1 s", "+1 h", "-1 h"])
def test_clock_steps_tell_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """The holder's clock is wrong from its start, the observer's is stepped, and so is the boot time of the kernel."""
    with writer(str(tmp_path), "--lease", "0.5", "--step", str(step), "--folder", str(tmp_path)) as holder:
        wait_for(tmp_path / "ready")
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + step)
        monkeypatch.setattr("psutil.boot_time", lambda: step)
        watch = Watch(f"{tmp_path}/ingest/{DIGEST}", lease=0.5)
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            assert watch.look(1) == ALIVE
            time.sleep(0.05)
        (tmp_path / "go").touch()
        assert holder.communicate(timeout=60)[0].strip() == "committed"


@pytest.mark.fault("stores", "libfaketime steps the clock of a run by {id} while it holds a stage")
@pytest.mark.parametrize("step", ["+1", "-1", "+3600", "-3600"])
def test_a_stepped_clock_of_the_whole_process(tmp_path: Path, step: str) -> None:
    fake = shutil.which("faketime")
    if fake is None:
        pytest.skip("faketime is not installed")
    with writer(str(tmp_path), "--lease", "0.5", "--folder", str(tmp_path), prefix=(fake, "-f", step)) as holder:
        wait_for(tmp_path / "ready")
        with pytest.raises(StoreError, match="is at this stage since"):
            Store(tmp_path, lease=0.5).attempt("ingest", DIGEST, patience=1.2).__enter__()
        (tmp_path / "go").touch()
        assert holder.communicate(timeout=60)[0].strip() == "committed"


class Clock:
    """A monotonic clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_who_was_away_does_not_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LOCAL", frozenset())
    held = leases.acquire(str(tmp_path), 1, generation=1, lease=3600.0)
    assert held is not None
    clock = Clock()
    watch = Watch(str(tmp_path), lease=8.0, clock=clock)
    # The claim says how long its own lease is; an observer with a shorter one waits as long.
    for _ in range(9):
        assert watch.look(1) == ALIVE
        clock.now += 3.0
    clock.now += 5000.0  # the observer was paused
    assert watch.look(1) == ALIVE
    for _ in range(3):
        clock.now += 1700.0
        state = watch.look(1)
    assert state == DEAD
    held.release("done")


def test_two_attempts_of_one_thread_do_not_wait_for_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.attempt("ingest", DIGEST, patience=60) as one, store.attempt("ingest", DIGEST, patience=60) as two:
        assert one.name != two.name
        first = finish(one)
        assert finish(two) == first
    assert len(list(tmp_path.glob("ingest/*/attempt-*"))) == 1


def test_what_another_attempt_lays_out_leaves_the_committed_one_alone(tmp_path: Path) -> None:
    """A first writer left its block without a commit; a second one writes beside it; the first commits and is read."""
    store = Store(tmp_path)
    data = xr.Dataset({"x": (("t",), np.arange(4.0))}, {"t": np.arange(4)}).chunk(t=2)
    with store.attempt("ingest", DIGEST) as one:
        pass
    with store.attempt("ingest", DIGEST) as two:
        assert two.name != one.name
        lay_out(one.url(), data, large={"x": (2,)})
        put(one.url(), "x", (slice(0, 4),), np.arange(4.0))
        done = one.commit(RECORD, numbers={})
        lay_out(two.url(), data, large={"x": (2,)})
        assert two.commit(RECORD, numbers={}) == done
    np.testing.assert_array_equal(read(done.url())["x"].values, np.arange(4.0))


def test_a_layout_that_comes_back_late_deletes_nothing(tmp_path: Path) -> None:
    """A worker that was lost lays out the group a second time, after others wrote into it."""
    data = xr.Dataset({"x": (("t",), np.arange(4.0))}, {"t": np.arange(4)}).chunk(t=2)
    url = str(tmp_path / "data")
    for _ in range(2):
        lay_out(url, data, large={"x": (2,)})
        put(url, "x", (slice(0, 2),), np.arange(2.0))
    lay_out(url, data, large={"x": (2,)})
    np.testing.assert_array_equal(read(url)["x"].values[:2], [0.0, 1.0])


@pytest.mark.fault("stores", "a chunk that was written is gone before the commit")
def test_a_stage_with_a_gap_is_not_committed(tmp_path: Path) -> None:
    data = xr.Dataset({"x": (("t",), np.arange(4.0))}, {"t": np.arange(4)}).chunk(t=2)
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=r"data/x/c/1 is missing"), store.attempt("ingest", DIGEST) as attempt:
        lay_out(attempt.url(), data, large={"x": (2,)})
        put(attempt.url(), "x", (slice(0, 2),), np.arange(2.0))
        attempt.commit(RECORD, numbers={})
    assert store.find("ingest", DIGEST) is None


@pytest.mark.fault("stores", "a stage that a run reads is removed while it reads")
def test_a_run_whose_input_went_away_does_not_commit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.attempt("ingest", DIGEST) as attempt:
        source = finish(attempt)
    reading = store.attempt("preprocess", DIGEST, uses=(source,))
    with pytest.raises(StoreError, match="removed or replaced while this run read it"), reading as attempt:
        shutil.rmtree(tmp_path / "ingest")
        finish(attempt)


def test_what_failed_is_gone_on_with_and_a_live_owner_is_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.attempt("ingest", DIGEST) as failed:
        mark(failed.folder, "first")
        raise ZeroDivisionError
    with store.attempt("ingest", DIGEST) as attempt:
        assert attempt.marks() == {"first"}
        assert not Path(failed.folder).exists()
        with store.attempt("ingest", DIGEST) as beside:
            assert beside.marks() == set()


def test_a_child_that_is_forked_neither_keeps_nor_gives_back_a_claim(tmp_path: Path) -> None:
    """As a loader's worker does, which outlives its killed parent for a while."""
    if not leases.locks_tell(str(tmp_path)):
        pytest.skip("the file system of the tests has no locks of this machine")
    place = f"{tmp_path}/ingest/{DIGEST}"
    held = leases.acquire(place, 1, generation=1, lease=3600.0)
    assert held is not None
    (claim,) = claims_of(place)
    inner, outer = os.pipe()
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        held.release("done")
        os.write(begun, b"x")
        os.read(inner, 1)
        os._exit(0)
    try:
        # Before that, the child may not have closed its copy of the lock.
        os.read(ready, 1)
        assert leases.is_locked(place, claim)
        held.release("failed")
        assert leases.is_free(place, claim)
    finally:
        os.write(outer, b"x")
        os.waitpid(child, 0)


def test_a_run_that_is_waited_for_too_long_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            with store.attempt("ingest", DIGEST, patience=0.3):
                pass
        except StoreError as error:
            caught.append(error)

    with store.attempt("ingest", DIGEST):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert f"process {os.getpid()} on " in str(caught[0])
    assert "  do: wait for it, or stop it" in str(caught[0])


class Forgetful(MemoryFileSystem):  # type: ignore[misc]
    """An object store that overwrites whatever condition it is given."""

    protocol = "forgetful"
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        super().pipe_file(path, value)


class Repeating(MemoryFileSystem):  # type: ignore[misc]
    """An object store whose first answer is lost, so that its client asks again."""

    protocol = "repeating"
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        super().pipe_file(path, value, mode=mode)
        if mode == "create":
            raise FileExistsError(path)


@pytest.mark.fault("stores", "an object store that overwrites what it should refuse")
def test_a_store_without_conditional_writes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("forgetful", Forgetful, clobber=True)
    with pytest.raises(StoreError, match="does not refuse to create a file twice") as caught:
        Store("forgetful://store").attempt("ingest", DIGEST).__enter__()
    assert "THALWEG_UNSHARED=1" in caught.value.advice
    monkeypatch.setenv("THALWEG_UNSHARED", "1")
    store = Store("forgetful://store")
    with store.attempt("ingest", DIGEST) as attempt:
        assert finish(attempt) == store.find("ingest", DIGEST)


@pytest.mark.fault("stores", "the answer to a conditional write is lost, and its repetition is refused")
def test_what_is_refused_although_it_is_ours_is_ours() -> None:
    fsspec.register_implementation("repeating", Repeating, clobber=True)
    assert create("repeating://store/claim", b"ours")
    assert not create("repeating://store/claim", b"theirs")


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert create(str(tmp_path / "a" / "claim"), b"ours")
    assert not create(str(tmp_path / "a" / "claim"), b"theirs")
    assert (tmp_path / "a" / "claim").read_bytes() == b"ours"


def test_a_superseded_run_is_told_even_if_its_folder_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(SupersededError) as caught, store.attempt("ingest", DIGEST) as attempt:
        fence = leases.acquire(attempt.place, 2, generation=1, fences=(attempt.name,))
        assert fence is not None
        fence.release("failed")
        raise FileNotFoundError(attempt.folder)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
