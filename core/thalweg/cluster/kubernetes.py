"""`cluster: kubernetes`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar

from pydantic import Field

from .base import DaskCluster


class Kubernetes(DaskCluster):
    """Workers as pods, by the Dask operator."""

    example: ClassVar[Mapping[str, Any]] = {"image": "registry.example/thalweg:1", "workers": 4, "memory": "8GiB"}
    module: ClassVar[str] = "dask_kubernetes.operator"
    extra: ClassVar[str] = "kubernetes"
    patience: ClassVar[float] = 600.0

    image: str = Field(description="a container image that holds thalweg and its plugins")
    namespace: str | None = Field(None, description="namespace of the pods; that of the current context if null")
    title: str = Field(
        "thalweg", pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", description="name of the DaskCluster resource"
    )
    gpu: bool = Field(False, description="whether each worker has a GPU")
    environment: dict[str, str] = Field({}, description="environment variables of the pods, by name")
    wait: float = Field(600.0, gt=0, description="seconds within which the first worker must have started")

    def describe(self) -> str:
        """The manifest of the DaskCluster."""
        import yaml

        return str(yaml.safe_dump(self._manifest(import_module(self.module)), sort_keys=False))

    def _manifest(self, module: ModuleType) -> dict[str, Any]:
        gpu = ["--resources", "GPU=1"] if self.gpu else []
        size = {"cpu": str(self.threads), "memory": str(int(self.memory))}
        manifest: dict[str, Any] = module.make_cluster_spec(
            name=self.title,
            image=self.image,
            n_workers=self.workers,
            env=dict(self.environment),
            worker_command=[
                "dask",
                "worker",
                "--nthreads",
                str(self.threads),
                "--memory-limit",
                str(int(self.memory)),
                *gpu,
            ],
        )
        # Its own `resources` would give the scheduler a GPU too.
        [worker] = manifest["spec"]["worker"]["spec"]["containers"]
        worker["resources"] = {"requests": size, "limits": size | ({"nvidia.com/gpu": "1"} if self.gpu else {})}
        return manifest

    def _start(self, module: ModuleType) -> Any:
        # Without this, what cannot be reached fails a second time when Python exits.
        import_module("kr8s").api().version()
        return module.KubeCluster(custom_cluster_spec=self._manifest(module), namespace=self.namespace, quiet=True)

    @property
    def _wait(self) -> tuple[int, float]:
        return 1, self.wait
