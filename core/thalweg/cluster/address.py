"""`cluster: {address: tcp://...}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field

from ..boundaries.reasons import line
from ..errors import ClusterError
from .base import Cluster, connect, memory, quiet
from .dask_workers import DaskWorkers
from .workers import Workers

TIMEOUT = 10.0
"""Seconds within which a scheduler must answer."""


class Address(Cluster):
    """The workers of a scheduler that runs already; they are not stopped."""

    example: ClassVar[Mapping[str, Any]] = {"url": "tcp://10.0.0.1:8786"}

    url: str = Field(
        pattern=r"^(tcp|tls|ws|wss|ucx|inproc)://.", description="address of the scheduler, such as tcp://10.0.0.1:8786"
    )

    @property
    def memory_per_task(self) -> int:
        return min(memory // threads for memory, threads in self._worker_sizes)

    @property
    def memory_per_worker(self) -> int:
        return min(memory for memory, _ in self._worker_sizes)

    @property
    def processes(self) -> int:
        return len(self._worker_sizes)

    @property
    def parallel(self) -> int:
        return sum(threads for _, threads in self._worker_sizes)

    @contextmanager
    def open(self) -> Iterator[Workers]:
        quiet()
        try:
            client = connect(self.url, timeout=TIMEOUT)
        # A scheduler behind TLS raises TypeError, a protocol that is not installed ImportError.
        except Exception as error:
            raise ClusterError(
                f"no scheduler answers at {self.url!r}: {line(error)}",
                allowed="the address of a Dask scheduler of the same version, such as tcp://10.0.0.1:8786",
                advice="start one with `dask scheduler`, and workers with `dask worker ADDRESS`",
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=30)
            except TimeoutError as error:
                raise ClusterError(
                    f"the scheduler at {self.url!r} has no workers",
                    allowed="at least one worker",
                    advice=f"start one with `dask worker {self.url}`",
                ) from error
            yield DaskWorkers(client, memory=min(each for each, _ in _sizes(client)))

    @cached_property
    def _worker_sizes(self) -> list[tuple[int, int]]:
        with self.open() as workers:
            return _sizes(workers.client)


def _sizes(client: Any) -> list[tuple[int, int]]:
    """Memory and threads of each worker."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return [(int(each["memory_limit"]) or memory(), int(each["nthreads"])) for each in workers]
