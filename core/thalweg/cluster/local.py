"""`cluster: local`."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from pydantic import Field, PositiveInt

from .base import DaskCluster, Memory, memory, processors

PRELOAD = "thalweg.cluster.preload"


class Local(DaskCluster):
    """Worker processes on this machine."""

    example: ClassVar[Mapping[str, Any]] = {"workers": 2, "memory": "4GiB"}

    workers: PositiveInt = Field(
        default_factory=processors, description="worker processes; by default one for each processor"
    )
    memory: Memory = Field(
        default_factory=lambda given: memory() // given.get("workers", 1),
        description="memory of each worker, such as 4GiB; by default an equal share of this machine's",
    )

    def _start(self, module: ModuleType) -> Any:
        return module.LocalCluster(
            n_workers=self.workers,
            threads_per_worker=self.threads,
            memory_limit=int(self.memory),
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            preload=[PRELOAD],
        )
