"""Training samples as a network sees them, before it learns: for statistics that it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .feeding import Fed, Feeding
from .job import Job
from .layout import Layout
from .scaling import BATCH
from .tensors import Scaler, stacked

if TYPE_CHECKING:
    from collections.abc import Mapping


class Examples:
    """Inputs and truth of training samples that do not overlap, scaled, batch by batch, on the processor."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __iter__(self) -> Iterator[tuple[Fed, Tensor]]:
        job, cpu = self._job, torch.device("cpu")
        feeding = Feeding(job.learner, given=job.given, wanted=job.wanted, scales=job.scales)
        scaler = Scaler(Layout.of(job.wanted), job.scales)
        at = job.train.index.apart(job.train.numbers)
        for start in range(0, len(at), BATCH):
            chosen = at[start : start + BATCH].tolist()
            inputs, truth = job.train.inputs(chosen), job.train.truth(chosen)
            with torch.device(cpu):
                fed = feeding(_tensors(inputs, feeding.names), feeding.places(dict(inputs.coords), cpu))
                yield fed, scaler.scale(stacked(_tensors(truth, job.wanted.names), job.wanted))


def _tensors(data: xr.Dataset, names: tuple[str, ...]) -> Mapping[str, Tensor]:
    return {name: torch.from_numpy(np.array(data[name].values)) for name in names if data[name].dtype.kind in "fiub"}
