"""Worker processes of a Dask cluster."""

from __future__ import annotations

import reprlib
import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..credentials import mask_logs
from ..errors import ClusterError
from .workers import POLL, Item, Lost, Result, Workers

if TYPE_CHECKING:
    import distributed


class DaskWorkers(Workers):
    """Workers of a Dask cluster. Without any worker for `patience` seconds, `map` gives up."""

    def __init__(self, client: distributed.Client, *, memory: int, patience: float = 30.0) -> None:
        self.client = client
        self._dask: Any = client
        self._memory = memory
        self._patience = patience
        self._threads = 0
        self._looked = float("-inf")
        self._alive = time.monotonic()

    @property
    def count(self) -> int:
        return len(self._dask.nthreads())

    @property
    def _parallel(self) -> int:
        return max(self._look(), 1)

    def _look(self) -> int:
        """Threads of all workers, asked for once a second: workers come and go."""
        now = time.monotonic()
        if now - self._looked <= POLL / 2:
            return self._threads
        if now - self._looked > 10 * POLL:  # nobody watched; whatever is missing is missing from now on
            self._alive = now
        # While it connects again, a client would wait for an answer longer than we do.
        if self._dask.status == "running":
            with suppress(OSError):
                self._threads = sum(self._dask.nthreads().values())
                if self._threads:
                    self._alive = time.monotonic()
        self._looked = time.monotonic()
        return self._threads

    def _submit(self, function: Callable[[Item], Result], item: Item, label: str) -> Any:
        if self._dask.status not in ("running", "connecting"):
            raise self._scheduler_lost(label)
        return self._dask.submit(_task, function, item, pure=False, key=f"{label}-{uuid.uuid4().hex}")

    def _result(self, future: Any, label: str, item: object) -> Any:
        from distributed import CancelledError, KilledWorker

        while True:
            try:
                return future.result(timeout=self._patience)
            except KilledWorker as error:
                raise ClusterError(
                    f"{label}: {reprlib.repr(item)} killed {error.allowed_failures + 1} workers, one after the other",
                    allowed=f"tasks within a worker's {self._memory / 2**30:.3g} GiB",
                    advice="give each worker more `memory` or fewer `threads`, or use smaller chunks",
                ) from error
            except RuntimeError as error:
                if not str(error).startswith("Error during deserialization"):
                    raise
                raise ClusterError(
                    f"{label}: the workers cannot load the task: {error.__cause__}",
                    allowed="workers with the same software as here",
                    advice="install thalweg, with the same plugins, where the scheduler and the workers run",
                ) from error
            except TimeoutError:
                if future.status == "error":  # the function's own
                    raise
                # The worker that held the result was lost, and the scheduler has it computed again.
                self._check(label)
            except (CancelledError, OSError) as error:
                if future.status == "error":
                    raise
                raise Lost(str(error)) from error

    def _check(self, label: str) -> None:
        if self._dask.status not in ("running", "connecting"):
            raise self._scheduler_lost(label)
        self._look()
        if time.monotonic() - self._alive <= self._patience:
            return
        if self._dask.status != "running":
            raise self._scheduler_lost(label)
        raise ClusterError(
            f"{label}: all workers were lost, and none came back within {self._patience:g} s",
            allowed="at least one worker",
            advice="see why they ended (memory, `walltime`?), and run again: what is committed is kept",
        )

    def _cancel(self, running: Collection[Any]) -> None:
        if running and self._dask.status == "running":
            with suppress(Exception):
                self._dask.cancel(list(running), force=True)

    def _scheduler_lost(self, label: str) -> ClusterError:
        return ClusterError(
            f"{label}: the scheduler is gone",
            allowed="a scheduler that outlives the run",
            advice="start the cluster again, and run again: what is committed is kept",
        )


def _task(function: Callable[[Item], Result], item: Item) -> Result:
    import dask

    # Otherwise a lazy array that a task computes would go to the scheduler as a graph, and wait for the very worker
    # that waits for it. It is set for good: tasks of one process would undo each other's setting.
    if dask.config.get("scheduler", None) != "synchronous":
        dask.config.set(scheduler="synchronous")
    # A worker logs what a task raises.
    mask_logs()
    return function(item)
