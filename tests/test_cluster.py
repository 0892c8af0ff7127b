"""One switch, many engines: order, progress, lost workers, and the errors."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from thalweg.cluster import Workers, cluster_from
from thalweg.cluster.dask_workers import DaskWorkers
from thalweg.errors import ClusterError, CorruptError, OptionError, StoreError

LOCAL = {"local": {"workers": 2, "memory": "1GiB"}}


@pytest.fixture(scope="module")
def local() -> Iterator[Workers]:
    _by_value()
    with cluster_from(LOCAL).open() as workers:
        yield workers


def _by_value() -> None:
    """Worker processes cannot import this file."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])


def _square(number: int) -> int:
    return number * number


def _slow_first(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0)
    return number


def _refuse(number: int) -> int:
    if number == 3:
        raise StoreError("no 3", advice="count differently")
    return number


def _corrupt(_: int) -> int:
    raise CorruptError("s3://b/a: chunk t/c/0 is corrupt", advice="run the same command with `--from constrain`")


def _pid(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


# ---- threads


def test_threads_is_the_default_kind_and_imports_no_distributed() -> None:
    code = (
        "import sys\nfrom thalweg.cluster import cluster_from\n"
        "with cluster_from('threads').open() as workers: assert workers.map(abs, [-1, 2]) == [1, 2]\n"
        "assert workers.client is None\nassert 'distributed' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_keeps_the_order_and_reports_each() -> None:
    seen: list[int] = []
    with cluster_from({"threads": {"threads": 3}}).open() as workers:
        assert workers.map(_slow_first, range(20), each=seen.append) == list(range(20))
        assert workers.map(_square, []) == []
        assert workers.count == 3
    assert seen == list(range(1, 21))


def test_threads_is_bounded_in_flight() -> None:
    begun: list[int] = []

    def stop(number: int) -> int:
        begun.append(number)
        raise StoreError(str(number))

    with cluster_from({"threads": {"threads": 1}}).open() as workers, pytest.raises(StoreError):
        workers.map(stop, range(1000))
    assert len(begun) <= 2


def test_threads_share_the_memory() -> None:
    cluster = cluster_from({"threads": {"threads": 4, "memory": "8GiB"}})
    assert (cluster.memory_per_task, cluster.parallel) == (2 * 2**30, 4)
    assert cluster_from("threads").memory_per_task > 0


# ---- local


@pytest.mark.slow
def test_local_maps_over_processes_and_keeps_the_order(local: Workers) -> None:
    seen: list[int] = []
    assert local.map(_square, range(50), each=seen.append) == [number**2 for number in range(50)]
    assert seen == list(range(1, 51))
    pids = set(local.map(_pid, range(20)))
    assert len(pids) == local.count == 2
    assert os.getpid() not in pids


@pytest.mark.slow
def test_an_error_of_the_function_is_raised_as_itself(local: Workers) -> None:
    with pytest.raises(StoreError) as caught:
        local.map(_refuse, range(10))
    assert str(caught.value) == "no 3\n  do: count differently"
    assert local.map(_square, [2]) == [4]


def _listen() -> None:
    heard: list[str] = []
    setattr(logging, "heard", heard)  # noqa: B010
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("distributed.worker").addHandler(handler)


def _heard() -> list[str]:
    return list(getattr(logging, "heard"))  # noqa: B009


@pytest.mark.fault("stores", "a worker process reads a chunk that is not what was written: its error ends the run")
@pytest.mark.slow
def test_an_error_of_a_worker_neither_ends_it_nor_is_logged_by_it(local: Workers) -> None:
    assert local.client is not None
    client: Any = local.client
    before = set(local.map(_pid, range(20)))
    client.run(_listen)
    with pytest.raises(CorruptError, match="is corrupt") as caught:
        local.map(_corrupt, range(4))
    assert caught.value.advice == "run the same command with `--from constrain`"
    assert set(local.map(_pid, range(20))) == before
    assert not [line for lines in client.run(_heard).values() for line in lines if "is corrupt" in line]


@pytest.mark.slow
def test_a_task_may_compute_a_lazy_array(local: Workers) -> None:
    def total(number: int) -> int:
        import dask.array

        return int(dask.array.full((8, 8), number, chunks=2).sum().compute())

    assert local.map(total, range(6)) == [64 * number for number in range(6)]


@pytest.mark.slow
def test_workers_have_one_thread_and_may_have_children(local: Workers) -> None:
    def look(_: int) -> tuple[str | None, bool]:
        return os.environ.get("OMP_NUM_THREADS"), multiprocessing.current_process().daemon

    assert local.map(look, [0]) == [(os.environ.get("OMP_NUM_THREADS", "1"), False)]


@pytest.mark.slow
def test_a_killed_worker_does_not_end_the_map(local: Workers, tmp_path: Path) -> None:
    def die_once(number: int) -> int:
        marker = tmp_path / "died"
        if number == 5 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return number

    assert local.map(die_once, range(40)) == list(range(40))
    assert (tmp_path / "died").exists()
    assert local.map(_square, range(4)) == [0, 1, 4, 9]


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_named() -> None:
    import dask

    _by_value()

    def die(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        cluster_from({"local": {"workers": 1, "memory": "1GiB"}}).open() as workers,
        pytest.raises(ClusterError) as caught,
    ):
        # Alone: with so little patience, the tasks that a dead worker had waiting are suspects too.
        workers.map(die, [2], label="constrain")
    assert str(caught.value) == (
        "constrain: 2 killed 1 workers, one after the other\n"
        "  allowed: tasks within a worker's 1 GiB\n"
        "  do: give each worker more `memory` or fewer `threads`, or use smaller chunks"
    )


def test_local_options() -> None:
    cluster = cluster_from({"local": {"workers": 2, "threads": 2, "memory": "4GiB"}})
    assert (cluster.memory_per_task, cluster.parallel) == (2 * 2**30, 4)
    assert cluster.summary == cluster.describe() == "local (workers 2, threads 2, memory 4.0GiB)"
    assert cluster_from("local").memory_per_task * cluster_from("local").parallel <= cluster_from("threads").memory


# ---- address


def _serve(tmp_path: Path) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes], str]:
    """A scheduler and a worker without a nanny, as processes of their own."""
    import distributed

    def start(*command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.DEVNULL, cwd=tmp_path)

    file = tmp_path / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    scheduler = start("distributed.cli.dask_scheduler", *options)
    worker = start("distributed.cli.dask_worker", "--scheduler-file", str(file), "--no-nanny", "--no-dashboard")
    with distributed.Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
        return scheduler, worker, client.scheduler.address


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "scheduler"])
def test_a_lost_cluster_ends_the_map_in_one_clear_error(victim: str, tmp_path: Path) -> None:
    from thalweg.cluster.base import connect

    _by_value()
    scheduler, worker, address = _serve(tmp_path)
    done: list[int] = []
    try:
        with connect(address, timeout=30) as client, pytest.raises(ClusterError) as caught:
            workers = DaskWorkers(client, memory=2**30, patience=2)
            with pytest.raises(ClusterError, match="evaluate: the workers cannot load the task: No module named"):
                workers.map(_refuse, range(2), label="evaluate")  # this file is not installed

            def each(count: int) -> None:
                done.append(count)
                if count == 3:
                    (worker if victim == "worker" else scheduler).kill()

            def rest(_: int) -> None:
                time.sleep(0.05)

            workers.map(rest, range(500), label="evaluate", each=each)
        lost = "all workers were lost, and none came back within 2 s"
        assert caught.value.given == f"evaluate: {lost if victim == 'worker' else 'the scheduler is gone'}"
        assert 3 <= len(done) < 500
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def test_address_uses_what_runs_and_leaves_it_running() -> None:
    import dask
    import distributed

    # Workers inside this process measure the memory of all tests that it ran before, and would pause for ever.
    unlimited = {f"distributed.worker.memory.{what}": False for what in ("target", "spill", "pause", "terminate")}
    with (
        dask.config.set(unlimited),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=False, memory_limit="1GiB", dashboard_address="127.0.0.1:0"
        ) as engine,
    ):
        cluster = cluster_from({"address": engine.scheduler_address})
        assert cluster.parallel == 4
        assert cluster.memory_per_task == 2**29
        for _ in range(2):
            with cluster.open() as workers:
                assert workers.map(_square, range(10)) == [number**2 for number in range(10)]
                assert workers.count == 2
        with pytest.raises(ValueError, match="No global client"):
            distributed.get_client()


def test_address_without_a_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    import thalweg.cluster.address as module

    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    with (
        pytest.raises(ClusterError, match=r"no scheduler answers at .tcp://127\.0\.0\.1:9."),
        cluster_from({"address": "tcp://127.0.0.1:9"}).open(),
    ):
        pass


# ---- slurm, kubernetes, cuda: what can be known without them


def test_slurm_script() -> None:
    pytest.importorskip("dask_jobqueue")
    script = cluster_from(
        {
            "slurm": {
                "workers": 4,
                "threads": 8,
                "memory": "64GiB",
                "partition": "gpu",
                "gpu": True,
                "account": "climate",
                "directives": ["--constraint=a100"],
                "setup": ["module load cuda"],
                "python": "/opt/python",
            }
        }
    ).describe()
    lines = script.splitlines()
    for line in (
        "-p gpu",
        "-A climate",
        "--cpus-per-task=8",
        "--mem=64G",
        "-t 01:00:00",
        "--gres=gpu:1",
        "--constraint=a100",
    ):
        assert f"#SBATCH {line}" in lines
    assert "module load cuda" in lines
    assert re.search(
        r"^/opt/python -m distributed\.cli\.dask_worker tcp://\S+ .*--nthreads 8 --memory-limit 64\S* --nanny",
        lines[-1],
    )
    assert lines[-1].endswith("--resources GPU=1")


def test_slurm_without_gpu_asks_for_none() -> None:
    pytest.importorskip("dask_jobqueue")
    assert "GPU" not in cluster_from({"slurm": {"memory": "4GiB"}}).describe().upper()


def test_slurm_without_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(ClusterError, match=r"the slurm cluster did not start: .*no `sbatch`"),
        cluster_from({"slurm": {"memory": "4GiB"}}).open(),
    ):
        pass


@pytest.mark.slow
def test_slurm_with_a_stand_in_for_its_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`sbatch` here runs the job script at once, on this machine."""
    pytest.importorskip("dask_jobqueue")
    _by_value()
    for name, line in (
        ("sbatch", 'script=$(cat "$1"); bash -c "$script" >/dev/null 2>&1 & echo "Submitted batch job $!"'),
        ("scancel", 'touch "$0.called"; pkill -P "$1"; kill "$1"'),
    ):
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    options = {"workers": 2, "memory": "1GiB", "gpu": True, "python": sys.executable, "wait": 60}
    with cluster_from({"slurm": options}).open() as workers:
        client: Any = workers.client
        client.wait_for_workers(2, timeout=60)
        assert workers.map(lambda number: number**2, range(10)) == [number**2 for number in range(10)]
        info = client.scheduler_info(n_workers=-1)["workers"].values()
        assert [each["resources"] for each in info] == [{"GPU": 1.0}] * 2
    assert (tmp_path / "scancel.called").exists()


def test_kubernetes_manifest() -> None:
    pytest.importorskip("dask_kubernetes")
    given = {"workers": 3, "threads": 2, "memory": "4GiB", "image": "thalweg:1", "gpu": True, "environment": {"A": "b"}}
    manifest = yaml.safe_load(cluster_from({"kubernetes": given}).describe())
    assert manifest["kind"] == "DaskCluster"
    worker = manifest["spec"]["worker"]
    [container] = worker["spec"]["containers"]
    assert worker["replicas"] == 3
    assert container["image"] == "thalweg:1"
    assert container["resources"]["limits"] == {"cpu": "2", "memory": str(4 * 2**30), "nvidia.com/gpu": "1"}
    assert {"name": "A", "value": "b"} in container["env"]
    assert " ".join(container["args"]).startswith(
        "dask worker --nthreads 2 --memory-limit 4294967296 --resources GPU=1"
    )
    assert "nvidia" not in str(manifest["spec"]["scheduler"])


def test_kubernetes_without_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("dask_kubernetes")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    cluster = cluster_from({"kubernetes": {"memory": "1GiB", "image": "thalweg:1"}})
    with pytest.raises(ClusterError, match="the kubernetes cluster did not start"), cluster.open():
        pass


def test_cuda_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    class LibraryNotFoundError(Exception):
        pass

    def engine(**_: Any) -> None:
        raise LibraryNotFoundError("NVML Shared Library Not Found")

    fake = types.ModuleType("dask_cuda")
    fake.__spec__ = __import__("importlib.machinery").machinery.ModuleSpec("dask_cuda", None)
    fake.LocalCUDACluster = engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dask_cuda", fake)
    with pytest.raises(ClusterError) as caught, cluster_from("cuda").open():
        pass
    assert str(caught.value) == (
        "the cuda cluster did not start: LibraryNotFoundError: NVML Shared Library Not Found\n"
        "  allowed: a machine with an NVIDIA driver and at least one GPU that is visible\n"
        "  do: see `nvidia-smi` and CUDA_VISIBLE_DEVICES, or use `cluster: local`"
    )


# ---- what a recipe may say


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.cluster.switch.util.find_spec", lambda _: None)
    with pytest.raises(OptionError) as caught:
        cluster_from({"slurm": {"memory": "4GiB"}})
    assert caught.value.advice == 'install it: pip install "thalweg[slurm]"'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "locl",
            "cluster: no cluster is called 'locl'\n"
            "  allowed: threads, local, cuda, slurm, kubernetes, address\n  do: did you mean 'local'?",
        ),
        (
            {"local": {"worker": 2}},
            "cluster.local: there is no option 'worker'\n"
            "  allowed: workers, threads, memory\n  do: did you mean 'workers'?",
        ),
        (
            {"local": {"workers": 0}},
            "cluster.local.workers: 0 is too small\n  allowed: whole number above 0 "
            "(worker processes; by default one for each processor)\n  do: change 'workers'",
        ),
        (
            {"slurm": {"workers": 2}},
            "cluster.slurm: the option 'memory' is missing\n"
            "  allowed: text such as 4GiB, or whole number above 0 (memory of each worker, such as 4GiB)\n"
            "  do: give 'memory'",
        ),
        (
            ["local"],
            "cluster: ['local'] does not name one cluster\n"
            "  allowed: KIND, or {KIND: {option: value}}, where KIND is one of threads, local, cuda, slurm, "
            "kubernetes, address\n  do: write `cluster: threads`, or `cluster: {local: {workers: 2}}`",
        ),
    ],
)
def test_errors(given: object, expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        cluster_from(given)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "given", [{"local": {"memory": "lots"}}, {"address": "10.0.0.1:8786"}, {"local": {"memory": 0}}]
)
def test_bad_values_say_what_is_wanted(given: object) -> None:
    with pytest.raises(OptionError) as caught:
        cluster_from(given)
    assert caught.value.allowed
    assert caught.value.where.startswith("cluster.")
