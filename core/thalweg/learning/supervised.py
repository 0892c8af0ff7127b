"""What a learner minimises: its loss, with the penalties of the laws that are held at the loss."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..components import LossEnforcer
from .batch import Batch
from .feeding import Fed, Feeding
from .job import Job
from .layout import Layout
from .mean_error import mean_squared_error
from .objective import Objective
from .tensors import Scaler, grid_of, stacked

LOWER = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Supervised(Objective):
    """The loss of a learner between what its network makes of the inputs and the truth; raw arrays are scaled here."""

    def __init__(self, network: nn.Module, job: Job, device: torch.device) -> None:
        super().__init__()
        self.network, self.learner, self._job, self._device = network, job.learner, job, device
        self.over = job.learner.over
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
            estimate, loss = self.learned_from(fed, target, step=batch.step)
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

    def learned_from(self, inputs: Fed, truth: Tensor, *, step: int) -> tuple[Tensor | Mapping[str, Tensor], Tensor]:
        """Estimate and loss of scaled fields, without penalties."""
        own = self.learner.objective(self.network, inputs, truth, step=step)
        if own is not None:
            return own
        estimate = self.network(inputs)
        filled = truth
        if estimate.shape == truth.shape:
            # An unknown truth is taken for what is estimated, so that it adds nothing to a loss that knows no masks.
            filled = torch.where(torch.isnan(truth), estimate.detach().float(), truth)
        loss = self.learner.loss(estimate, filled)
        return estimate, mean_squared_error(estimate, truth) if loss is None else loss
