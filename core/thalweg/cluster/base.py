"""What every kind of cluster has in common."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ByteSize, ConfigDict, Field, PositiveInt, WithJsonSchema

from ..credentials import hidden, masked
from ..errors import ClusterError
from .dask_workers import DaskWorkers
from .workers import Workers

NOTHING = logging.CRITICAL + 1
"""A level that no line has."""
_BYTES = {"anyOf": [{"type": "string", "examples": ["4GiB"]}, {"type": "integer", "exclusiveMinimum": 0}]}
Memory = Annotated[ByteSize, Field(gt=0), WithJsonSchema(_BYTES)]
"""Bytes, as a number or with a unit."""


class Cluster(BaseModel, ABC):
    """How many workers, of what size; fields are a recipe's options."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    example: ClassVar[Mapping[str, Any]] = {}
    """Options to begin with, for `thalweg clusters NAME`."""

    @property
    @abstractmethod
    def memory_per_task(self) -> int:
        """Bytes that one task may use."""

    @property
    @abstractmethod
    def memory_per_worker(self) -> int:
        """Bytes that one worker may use, if it does one thing at a time."""

    @property
    @abstractmethod
    def processes(self) -> int:
        """Workers that are processes of their own; 1 for this process."""

    @property
    @abstractmethod
    def parallel(self) -> int:
        """Tasks at a time."""

    @abstractmethod
    def open(self) -> AbstractContextManager[Workers]:
        """Start the workers, and stop them at the end. Raises `ClusterError`."""

    @property
    def summary(self) -> str:
        """One line: the kind and its options."""
        options = ", ".join(
            f"{name} {value.human_readable() if isinstance(value, ByteSize) else hidden({name: value})[name]}"
            for name, value in self
            if value not in (None, False, (), {})
        )
        return masked(f"{type(self).__name__.lower()} ({options})")

    def describe(self) -> str:
        """What is handed to a queue or to Kubernetes; for the others, their `summary`."""
        return self.summary


class DaskCluster(Cluster):
    """Workers that one of Dask's deployment engines starts."""

    module: ClassVar[str] = "distributed"
    extra: ClassVar[str] = ""
    patience: ClassVar[float] = 30.0
    """Seconds without any worker after which a run gives up."""

    workers: PositiveInt = Field(1, description="worker processes")
    threads: PositiveInt = Field(1, description="threads of each worker")
    memory: Memory = Field(description="memory of each worker, such as 4GiB")

    @property
    def memory_per_task(self) -> int:
        return self.memory // self.threads

    @property
    def memory_per_worker(self) -> int:
        return self.memory

    @property
    def processes(self) -> int:
        return self.workers

    @property
    def parallel(self) -> int:
        return self.workers * self.threads

    @abstractmethod
    def _start(self, module: ModuleType) -> Any:
        """A `distributed.deploy.Cluster`, with its scheduler and workers starting."""

    @property
    def _wait(self) -> tuple[int, float]:
        """How many workers must be there at the start, within how many seconds."""
        return self.workers, 300.0

    @contextmanager
    def open(self) -> Iterator[Workers]:
        import dask

        # First: it adds its defaults to the configuration, which would go away again with what is set here.
        import distributed  # noqa: F401

        quiet()
        # A daemon cannot have children, and data loaders want some.
        with dask.config.set({"distributed.worker.daemon": False}):
            track()
            try:
                engine = self._start(import_module(self.module))
            except (KeyboardInterrupt, SystemExit):
                quiet(NOTHING)
                raise
            except BaseException as error:
                raise self._failed(f"{type(error).__name__}: {error}".split("\n", 1)[0]) from error
            count, seconds = self._wait
            with engine, connect(engine, timeout=30) as client, silent_end():
                try:
                    client.wait_for_workers(count, timeout=seconds)
                except TimeoutError as error:
                    raise self._failed(f"not {count} of {self.workers} workers after {seconds:g} s") from error
                yield DaskWorkers(client, memory=self.memory, patience=self.patience)

    def _failed(self, why: str) -> ClusterError:
        return ClusterError(
            f"the {type(self).__name__.lower()} cluster did not start: {why}",
            allowed=self.summary,
            advice="see the message of the engine above, or run with `--cluster threads`",
        )


def processors() -> int:
    """Processors that this process may use."""
    from dask.system import CPU_COUNT

    return int(CPU_COUNT)


def memory() -> int:
    """Bytes that this process may use: the machine's, or its control group's if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(machine, int(Path(limit).read_text()))
        except (OSError, ValueError):
            continue
    return machine


def quiet(level: int = logging.WARNING) -> None:
    """Keep the lines of distributed that are below a level out of the run's log: at first those of INFO."""
    logging.getLogger("distributed").setLevel(level)


@contextmanager
def silent_end() -> Iterator[None]:
    """Keep out of the log what Dask says of workers that are being ended; after an interrupt, also its errors."""
    level = logging.ERROR
    try:
        yield
    except KeyboardInterrupt:
        level = NOTHING
        raise
    finally:
        quiet(level)


def track() -> None:
    """Start the process that frees what ended workers leave, without its warning that they left something.

    A worker that is ended in a task leaves the locks of the libraries that it loaded.
    """
    from multiprocessing import resource_tracker

    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, "ignore:resource_tracker:UserWarning")))
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def connect(engine: object, *, timeout: float) -> Any:
    """A client that does not make itself the default: what the run computes here is not sent to the workers."""
    import distributed

    client: Any = distributed.Client
    return client(engine, timeout=timeout, set_as_default=False)
