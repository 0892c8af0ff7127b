"""A small world for the tests: a wave that travels, a recipe on it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")

Recipes = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_TRACKING", "off")


@pytest.fixture
def wave(tmp_path: Path) -> Path:
    """A NetCDF file: `temperature(time, latitude, longitude)`, degC, ten years of months, a wave and noise."""
    rng = np.random.default_rng(7)
    months = np.arange(120)
    latitude, longitude = np.linspace(-20, 20, 5), np.arange(0.0, 360.0, 45.0)
    phase = 2 * np.pi * (months[:, None, None] / 17 - longitude / 360)
    field = np.cos(phase) * np.cos(np.radians(latitude))[None, :, None] + 0.1 * rng.standard_normal((120, 5, 8))
    time = xr.date_range("2000-01-01", periods=120, freq="MS", use_cftime=False)
    data = xr.Dataset(
        {
            "temperature": (
                ("time", "latitude", "longitude"),
                field.astype("float32"),
                {"units": "degC", "valid_range": [-5.0, 5.0]},
            )
        },
        {
            "time": time,
            "latitude": ("latitude", latitude, {"units": "degrees_north"}),
            "longitude": ("longitude", longitude, {"units": "degrees_east"}),
        },
    )
    file = tmp_path / "wave.nc"
    data.to_netcdf(file, engine="h5netcdf")
    return file


@pytest.fixture
def recipe(tmp_path: Path, wave: Path) -> Recipes:
    """Writes a recipe on the wave; keywords replace sections."""

    def write(name: str = "wave", **sections: Any) -> Path:
        tree = {
            "name": name,
            "experiment": "tests",
            "ingest": {"array": {"path": str(wave), "variables": ["temperature"]}},
            "preprocess": [
                {"anomaly": {"over": "time.month", "baseline": [2000, 2005]}},
                {"windows": {"inputs": 3, "targets": 4}},
                {"split": {"train": [2000, 2005], "test": [2006, 2009]}},
            ],
            "train": {"method": {"linear-inverse-model": {"modes": 3, "lag": 1}}},
            "constrain": [
                {"hold": {"area-mean": {"variable": "temperature", "target": "last-input"}}, "by": "additive"}
            ],
            "evaluate": ["rmse", {"mae": {}}],
            **sections,
        }
        file = tmp_path / f"{name}.yaml"
        file.write_text(
            yaml.safe_dump({key: value for key, value in tree.items() if value is not None}, sort_keys=False)
        )
        return file

    return write


class Asked(BaseHTTPRequestHandler):
    """A request to a server of the tests, and ways to answer it."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        key = f"{self.command} {self.path}"
        with self.server.lock:
            self.server.asked.append(key)
            self.number = self.server.asked.count(key)
            self.server.headers.append(dict(self.headers))
        self.server.respond(self)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

    def answer(self, body: bytes = b"", status: int = 200, *, cut: int = 0, **headers: str) -> None:
        """Answer; `cut` leaves out as many bytes at the end as it counts, and closes the connection."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) - cut])
        if cut:
            self.close_connection = True

    def reset(self) -> None:
        """Reset the connection."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def hang(self) -> None:
        """Say nothing until the test is over."""
        self.server.over.wait(60)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None: ...


class Quiet(ThreadingHTTPServer):
    """A server on loopback that counts what it is asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, respond: Callable[[Asked], None]) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.respond = respond
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lock, self.over = threading.Lock(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None: ...


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Asked], None]], Quiet]]:
    """Starts servers that answer each request by a function of it."""
    running: list[Quiet] = []

    def start(respond: Callable[[Asked], None]) -> Quiet:
        server = Quiet(respond)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.over.set()
        server.shutdown()
        server.server_close()
