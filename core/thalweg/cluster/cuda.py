"""`cluster: cuda`."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from pydantic import Field, PositiveInt

from ..errors import ClusterError
from .base import DaskCluster, Memory, memory
from .local import PRELOAD


class Cuda(DaskCluster):
    """One worker process for each GPU of this machine."""

    example: ClassVar[Mapping[str, Any]] = {"workers": 2}
    module: ClassVar[str] = "dask_cuda"
    extra: ClassVar[str] = "cuda"

    workers: PositiveInt = Field(1, description="worker processes, one for each GPU")
    memory: Memory = Field(
        default_factory=lambda given: memory() // given.get("workers", 1),
        description="memory of each worker on the host, such as 16GiB; by default an equal share of this machine's",
    )
    devices: tuple[int, ...] | None = Field(None, description="numbers of the GPUs to use; the first ones if null")

    def _start(self, module: ModuleType) -> Any:
        return module.LocalCUDACluster(
            n_workers=self.workers,
            threads_per_worker=self.threads,
            memory_limit=int(self.memory),
            CUDA_VISIBLE_DEVICES=None if self.devices is None else list(self.devices),
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            preload=[PRELOAD],
        )

    def _failed(self, why: str) -> ClusterError:
        return ClusterError(
            f"the cuda cluster did not start: {why}",
            allowed="a machine with an NVIDIA driver and at least one GPU that is visible",
            advice="see `nvidia-smi` and CUDA_VISIBLE_DEVICES, or use `cluster: local`",
        )
