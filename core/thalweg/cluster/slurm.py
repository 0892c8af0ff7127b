"""`cluster: slurm`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar

from pydantic import Field

from .base import DaskCluster


class Slurm(DaskCluster):
    """Workers as jobs of a SLURM queue, one worker a job."""

    example: ClassVar[Mapping[str, Any]] = {"workers": 8, "memory": "64GiB", "partition": "gpu", "gpu": True}
    module: ClassVar[str] = "dask_jobqueue"
    extra: ClassVar[str] = "slurm"
    patience: ClassVar[float] = 600.0

    partition: str | None = Field(None, description="the queue that jobs are sent to; the default queue if null")
    account: str | None = Field(None, description="the account that the time is charged to; yours if null")
    walltime: str = Field("01:00:00", description="time after which SLURM ends a job, hours:minutes:seconds")
    gpu: bool = Field(False, description="whether each worker has a GPU")
    directives: tuple[str, ...] = Field((), description="further #SBATCH lines of a job, such as --constraint=a100")
    setup: tuple[str, ...] = Field(
        (), description="shell lines that a job runs before its worker, such as module load cuda"
    )
    python: str | None = Field(None, description="path of the workers' Python; this one's if null")
    interface: str | None = Field(
        None, description="the network interface of the scheduler that compute nodes reach, such as ib0"
    )
    logs: str | None = Field(None, description="folder for the output of jobs; the working folder if null")
    wait: float = Field(3600.0, gt=0, description="seconds within which the first worker must have started")

    def describe(self) -> str:
        """The job script of one worker."""
        job: Any = import_module("dask_jobqueue.slurm").SLURMJob
        return str(job(scheduler="tcp://SCHEDULER", name="WORKER", **self._job()).job_script())

    def _job(self) -> dict[str, Any]:
        gpu = ["--gres=gpu:1"] if self.gpu else []
        return {
            "queue": self.partition,
            "account": self.account,
            "walltime": self.walltime,
            "cores": self.threads,
            "processes": 1,
            "memory": f"{int(self.memory)} B",
            "job_name": "thalweg",
            "job_extra_directives": [*gpu, *self.directives],
            "job_script_prologue": list(self.setup),
            "worker_extra_args": ["--resources", "GPU=1"] if self.gpu else [],
            "python": self.python,
            "log_directory": self.logs,
        }

    def _start(self, module: ModuleType) -> Any:
        # The engine itself would try again for as long as we wait.
        if shutil.which("sbatch") is None:
            raise FileNotFoundError("there is no `sbatch` on the PATH")
        engine = module.SLURMCluster(
            **self._job(), interface=self.interface, scheduler_options={"dashboard_address": ":0"}
        )
        engine.scale(jobs=self.workers)
        return engine

    @property
    def _wait(self) -> tuple[int, float]:
        return 1, self.wait
