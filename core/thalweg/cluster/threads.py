"""`cluster: threads`, the default."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import ByteSize, Field, PositiveInt

from .base import Cluster, Memory, memory, processors
from .workers import Item, Result, Workers


class Threads(Cluster):
    """Threads of this process; nothing is started."""

    example: ClassVar[Mapping[str, Any]] = {"threads": 4, "memory": "8GiB"}

    threads: PositiveInt = Field(
        default_factory=processors, description="threads that work at once; by default one for each processor"
    )
    memory: Memory = Field(
        default_factory=lambda: ByteSize(memory()),
        description="memory of all threads together, such as 16GiB; by default that of this machine",
    )

    @property
    def memory_per_task(self) -> int:
        return self.memory // self.threads

    @property
    def memory_per_worker(self) -> int:
        return self.memory

    @property
    def processes(self) -> int:
        return 1

    @property
    def parallel(self) -> int:
        return self.threads

    @contextmanager
    def open(self) -> Iterator[Workers]:
        workers = ThreadWorkers(self.threads)
        try:
            yield workers
        finally:
            workers.close()


class ThreadWorkers(Workers):
    """Threads of this process."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="thalweg")

    @property
    def count(self) -> int:
        return self._threads

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)

    @property
    def _parallel(self) -> int:
        return self._threads

    def _submit(self, function: Callable[[Item], Result], item: Item, label: str) -> Future[Result]:  # noqa: ARG002
        return self._executor.submit(function, item)

    def _result(self, future: Any, label: str, item: object) -> Any:  # noqa: ARG002
        return future.result()

    def _check(self, label: str) -> None:
        """Threads are not lost."""

    def _cancel(self, running: Collection[Any]) -> None:
        # What has begun still writes; whoever handles the error must not find it doing so.
        wait([future for future in running if not future.cancel()])
