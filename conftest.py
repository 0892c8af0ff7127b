"""Servers on loopback for all tests: they answer as a test says, and count what they are asked."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dask
import fresh
import pytest
from settled import settle

# Workers of a cluster that a test opens in its own process are forked; those of commands are started as users have it.
dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})


def pytest_sessionstart() -> None:
    """Where many tests run, what they fork is imported while they are collected."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        fresh.serve()


def pytest_collection_finish() -> None:
    """A twentieth of the time of tests went into collections of garbage, among a million objects that stay."""
    settle()


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


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a fixture of their module (a cluster, a server, a run) share a process: it is made once."""
    for item in items:
        known = getattr(item, "_fixtureinfo", None)
        if known is None or item.get_closest_marker("xdist_group"):
            continue
        place = item.nodeid.partition("::")[0]
        made = [each[-1] for each in known.name2fixturedefs.values()]
        if "slam" in item.path.parts:
            # Where no kernel is on disk, each process would compile them all.
            item.add_marker(pytest.mark.xdist_group("slam"))
        elif any(each.scope == "module" and each.baseid == place for each in made):
            item.add_marker(pytest.mark.xdist_group(place))


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
