"""What a learner minimises: its loss, with the penalties of the laws that are held at the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..components import LossEnforcer
from ..losses.mean_squared import MeanSquared
from .batch import Batch, own
from .contract import NetworkLearner
from .feeding import Fed, Feeding
from .job import Job
from .layout import Layout
from .objective import Objective
from .tensors import Scaler, grid_of, stacked

LOWER = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Supervised(Objective):
    """The loss of a learner between what its network makes of the inputs and the truth; raw arrays are scaled here."""

    def __init__(self, network: nn.Module, job: Job, device: torch.device) -> None:
        super().__init__()
        self.network, self.learner, self._job, self._device = network, job.learner, job, device
        self._loss = job.options.loss or MeanSquared()
        written = type(job.learner).loss is not NetworkLearner.loss or job.learner.own_loss
        self.over = job.learner.over if written else self._loss.over
        self._wanted = Scaler(Layout.of(job.wanted), job.scales).to(device)
        self._feeding = Feeding(job.learner, given=job.given, wanted=job.wanted, scales=job.scales)
        self._places = self._feeding.places(dict(job.train.data.coords), device)
        self._penalties = [
            (hold.enforcer, law) for hold in job.holds for law in hold.laws if isinstance(hold.enforcer, LossEnforcer)
        ]

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss."""
        wanted = self._job.wanted
        fed, target = self.scaled(batch)
        lower = LOWER.get(self._job.options.precision)
        with torch.autocast(self._device.type, lower, enabled=lower is not None):
            estimate, loss = self.learned_from(fed, target, step=batch.step, rows=_shared(batch))
        if self._penalties:
            assert batch.context is not None
            by_name, grid = self._by_name(estimate), grid_of(wanted, inputs=batch.context)
            for enforcer, law in self._penalties:
                loss = loss + enforcer.penalty(law, by_name, batch.context, grid=grid)
        return {"loss": loss}

    def scaled(self, batch: Batch) -> tuple[Fed, Tensor]:
        """What the network is fed, and what it is compared with."""
        return self._feeding(batch.inputs, self._places), self._wanted.scale(stacked(batch.truth, self._job.wanted))

    def _by_name(self, estimate: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The fields in their units; of a mean and a variance, the mean."""
        if isinstance(estimate, Mapping):
            return estimate
        names = Layout.of(self._job.wanted).names
        fields = self._wanted.unscale(estimate[..., : len(names)])
        return {name: fields[..., i] for i, name in enumerate(names)}

    def learned_from(
        self, inputs: Fed, truth: Tensor, *, step: int, rows: Callable[[Tensor], Tensor] = own
    ) -> tuple[Tensor | Mapping[str, Tensor], Tensor]:
        """Estimate and loss of scaled fields, without penalties; `rows` of them on all ranks, for a loss over the
        batch."""

        def loss(estimate: Tensor, truth: Tensor) -> Tensor:
            if self.over == "batch":
                estimate, truth = rows(estimate), rows(truth)
            value = self.learner.loss(estimate, truth)
            return (self._loss.value(estimate, truth) if value is None else value).mean()

        found = self.learner.objective(self.network, inputs, truth, step=step, loss=loss)
        if found is not None:
            return found
        estimate = self.network(inputs)
        return estimate, loss(estimate, truth)


def _shared(batch: Batch) -> Callable[[Tensor], Tensor]:
    """The rows of all ranks; a rank without a share has one sample that counts for nothing, and gives none."""
    return lambda tensor: batch.rows(tensor if batch.weight else tensor[:0])
