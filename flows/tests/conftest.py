"""A small recipe, and a Prefect that leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

_HOME = tempfile.TemporaryDirectory(prefix="thalweg-prefect-")
# Read when Prefect is imported, so before any test is collected.
os.environ["PREFECT_HOME"] = _HOME.name
os.environ.update(
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="180",
    DO_NOT_TRACK="1",
    MLFLOW_DISABLE_TELEMETRY="true",
)


ROOT = Path(__file__).resolve().parents[2]


class Prefect:
    """A server of its own, and the commands of Prefect against it."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = str(taken.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/api"
        own = {"PREFECT_HOME": str(home), "PREFECT_API_URL": self.url, "PREFECT_SERVER_UI_API_URL": self.url}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("THALWEG_", "MLFLOW_TR"))}
        self._environment: Mapping[str, str] = {**inherited, **own, "OMP_NUM_THREADS": "1", "PWD": str(home.parent)}

    def __call__(self, *words: str) -> None:
        """A command, to its end."""
        command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
        done = subprocess.run(command, env=self._environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def running(self, *words: str) -> Iterator[None]:
        """A command in the background, with its children ended by their group's id."""
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words],
            env=self._environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def wait(self, until: Callable[[], bool], *, seconds: float = 240) -> None:
        """Wait for something that a server does."""
        end = time.monotonic() + seconds
        while True:
            try:
                if until():
                    return
            except OSError:
                pass
            assert time.monotonic() < end, f"nothing happened for {seconds} s"
            time.sleep(1)


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """A server for all tests of flows: a mark of theirs keeps them in one process."""
    made = Prefect(tmp_path_factory.mktemp("server") / "prefect")
    with made.running("server", "start", "--port", made.port):
        made.wait(lambda: urllib.request.urlopen(f"{made.url}/health", timeout=5).status == 200)
        yield made


@pytest.fixture
def mlflow_runs() -> Callable[[Path], list[Any]]:
    """What MLflow knows of the experiment `flows` of a store."""

    def runs(store: Path) -> list[Any]:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
        return list(client.search_runs([client.get_experiment_by_name("flows").experiment_id]))

    return runs


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Two methods on `level(time, site)`, a thousand days of a tide."""
    time = xr.date_range("2000-01-01", periods=1000, freq="D", use_cftime=False)
    level = np.sin(2 * np.pi * np.arange(1000)[:, None] / 27 + np.arange(4))
    fields = {"level": (("time", "site"), level.astype("float32"), {"units": "m"})}
    xr.Dataset(fields, {"time": time}).to_netcdf(tmp_path / "tide.nc", engine="h5netcdf")
    tree = {
        "name": "tide",
        "experiment": "flows",
        "ingest": {"array": {"path": str(tmp_path / "tide.nc"), "variables": ["level"]}},
        "preprocess": [
            {"windows": {"inputs": 2, "targets": 3}},
            {"split": {"train": ["2000-01-01", "2001-06-30"], "test": ["2001-07-01", "2002-09-26"]}},
        ],
        "train": {"method": "persistence"},
        "evaluate": ["rmse"],
        "store": str(tmp_path / "store"),
    }
    file = tmp_path / "tide.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return file
