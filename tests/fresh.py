"""Processes that have imported already, forked from one server of each process that runs tests.

A fresh interpreter imports for two to four seconds of processor time, and some tests start a dozen. What is forked has
its own environment variables, folder, output and exit code; a test of what is imported, or when, starts Python itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest import mock

PRELOAD = [
    "distributed.nanny",
    "distributed.worker",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "pandas",
    "pyarrow.parquet",
    "scipy.sparse",
    "thalweg.cluster.preload",
    "thalweg.commands.cli",
    "thalweg.learning.fitting",
    "thalweg.learning.training",
    "thalweg.pipeline",
    "torch._dynamo",
    "xarray",
    "zarr",
    "settled",  # the last one
]


def serve() -> None:
    """Start the server, with the variables that the environment has now; what it forks is not tracked."""
    forkserver.set_forkserver_preload(PRELOAD)
    with mock.patch.dict(os.environ, THALWEG_TRACKING="off"):
        forkserver.ensure_running()


class Forked:
    """A function in a process of its own, with what it prints."""

    def __init__(
        self,
        function: Callable[..., None],
        *arguments: Any,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._written = tempfile.TemporaryDirectory()
        self._outputs = [Path(self._written.name, name) for name in ("stdout", "stderr")]
        for each in self._outputs:
            each.touch()
        serve()
        self.process = multiprocessing.get_context("forkserver").Process(
            target=_begin,
            args=(function, arguments, dict(os.environ if environment is None else environment)),
            kwargs={"folder": str(folder or Path.cwd()), "outputs": [str(each) for each in self._outputs]},
        )
        self.process.start()

    def stdout(self) -> str:
        """What it has printed by now."""
        return self._outputs[0].read_text()

    def printed(self, word: str, *, seconds: float = 120) -> None:
        """Wait until it has printed a word."""
        end = time.monotonic() + seconds
        while word not in self.stdout():
            assert self.process.is_alive(), self._outputs[1].read_text()
            assert time.monotonic() < end, f"{word!r} was not printed for {seconds} s"
            time.sleep(0.02)

    def ended(self, *, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Wait for its end: exit code, stdout and stderr."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            raise TimeoutError(f"the process ran longer than {seconds} s: {self._outputs[1].read_text()}")
        done = subprocess.CompletedProcess(
            [], self.process.exitcode or 0, *(each.read_text() for each in self._outputs)
        )
        self._written.cleanup()
        return done


def thalweg(*arguments: str) -> None:
    """The command line."""
    from thalweg.commands.cli import main

    sys.argv = ["thalweg", *arguments]
    main()


def command(
    *arguments: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """`thalweg ARGUMENTS`, to its end."""
    return Forked(thalweg, *arguments, environment=environment, folder=folder).ended()


def _begin(
    function: Callable[..., None],
    arguments: tuple[Any, ...],
    environment: Mapping[str, str],
    *,
    folder: str,
    outputs: list[str],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, place in enumerate(outputs, 1):
        os.dup2(os.open(place, os.O_WRONLY), number)
    try:
        function(*arguments)
    finally:
        # An interpreter that ends does so; a forked process leaves it out.
        atexit._run_exitfuncs()
