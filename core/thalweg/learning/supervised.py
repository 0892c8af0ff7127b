"""What a learner minimises: its loss, with the penalties of the laws that are held at the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..components import Fields
from ..errors import EstimateError
from ..losses.mean_squared import MeanSquared
from .batch import Batch, own
from .contract import NetworkLearner
from .drawn import Noises
from .feeding import Fed, Feeding
from .job import Job
from .knowing import Bound, under
from .layout import Layout
from .objective import Objective
from .options import TrainOptions
from .tensors import Scaler, stacked
from .turn import Turn, decayed

NETWORK = "network"
"""The module that is solved with."""
LOWER = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Supervised(Objective):
    """The loss of a learner between what its network makes of the inputs and the truth; raw arrays are scaled here."""

    def __init__(self, network: nn.Module, job: Job, device: torch.device) -> None:
        super().__init__()
        self.declare(network, job.learner, job.options)
        self._job, self._device = job, device
        self._wanted = Scaler(Layout.of(job.wanted), job.scales).to(device)
        self._feeding = Feeding(job.learner, given=job.given, wanted=job.wanted, scales=job.scales)
        self._places = self._feeding.places(dict(job.train.data.coords), device)
        self._noises = Noises(job.learner, "learning", given=job.given, wanted=job.wanted)
        self._holding = job.holding

    def declare(self, network: nn.Module, learner: NetworkLearner, options: TrainOptions) -> None:
        """What is known of it before there are samples."""
        self.network, self.learner = network, learner
        self._loss = options.loss or MeanSquared()
        written = type(learner).loss is not NetworkLearner.loss or learner.own_loss
        self.over = learner.over if written else self._loss.over

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss."""
        fed, target = self.scaled(batch)
        noise = self.noise(batch)
        lower = LOWER.get(self._job.options.precision)
        with torch.autocast(self._device.type, lower, enabled=lower is not None):
            estimate, loss = self.learned_from(
                fed, target, step=batch.step, rows=_shared(batch), known=batch.known, noise=noise
            )
        for prefix, (enforcer, held) in self._holding.penalties.items():
            loss = loss + enforcer.penalty(self._fields(estimate), held, under(prefix, batch.known))
        return {"loss": loss}

    def scaled(self, batch: Batch) -> tuple[Fed, Tensor]:
        """What the network is fed, and what it is compared with."""
        return self._feeding(batch.inputs, self._places), self._wanted.scale(stacked(batch.truth, self._job.wanted))

    def noise(self, batch: Batch) -> dict[str, Tensor]:
        """The noise that the network takes beside what it is fed, on the device of the batch."""
        return self._noises(batch.draw, self._device)

    def _fields(self, estimate: Tensor | Mapping[str, Tensor]) -> Fields:
        """The fields in their units; of a mean and a variance, the mean."""
        layout, wanted = Layout.of(self._job.wanted), self._job.wanted
        units = {each.name: each.units for each in wanted.fields}
        if isinstance(estimate, Mapping):
            values = {name: each for name, each in estimate.items() if name in layout.names}
            points = {name: each for name, each in estimate.items() if name not in layout.names}
            return Fields(values, dict.fromkeys(values, ("sample", "point")), units, points)
        fields = self._wanted.unscale(estimate[..., : len(layout.names)])
        members = ("member",) if estimate.ndim > len(layout.dims) + 2 else ()
        dims = ("sample", *members, *layout.dims)
        values = {name: fields[..., i] for i, name in enumerate(layout.names)}
        return Fields(values, dict.fromkeys(values, dims), units)

    def learned_from(
        self,
        inputs: Fed,
        truth: Tensor,
        *,
        step: int,
        rows: Callable[[Tensor], Tensor] = own,
        known: Mapping[str, Tensor] | None = None,
        noise: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor | Mapping[str, Tensor], Tensor]:
        """Estimate and loss of scaled fields, without penalties; `rows` of them on all ranks, for a loss over the
        batch; `known` is what laws in the network know."""
        noise = noise or {}
        network: Any = Bound(self.network, known or {}) if self._holding.wrappers else self.network

        def loss(estimate: Tensor, truth: Tensor) -> Tensor:
            if self.over == "batch":
                estimate, truth = rows(estimate), rows(truth)
            value = self.learner.loss(estimate, truth)
            if value is not None and not isinstance(value, Tensor):
                raise _other(f"`loss` of {self.learner.name}", value, allowed="a tensor of one value for each sample")
            return (self._loss.value(estimate, truth) if value is None else value).mean()

        found = self.learner.objective(network, inputs, truth, step=step, loss=loss, noise=noise)
        if found is not None:
            return _both(found, self.learner)
        estimate = network(inputs, noise) if self._noises.asked else network(inputs)
        return estimate, loss(estimate, truth)


def _both(found: Any, learner: NetworkLearner) -> tuple[Any, Tensor]:
    """Estimate and loss of an objective. Raises `EstimateError` for anything else."""
    pair = isinstance(found, tuple | list) and len(found) == 2
    if not pair or not isinstance(found[1], Tensor) or found[1].numel() != 1:
        shown = tuple(found[1].shape) if pair and isinstance(found[1], Tensor) else found
        raise _other(f"`objective` of {learner.name}", shown, allowed="the estimate, and a loss of one number")
    return found[0], found[1]


def _other(by: str, found: Any, *, allowed: str) -> EstimateError:
    what = f"a loss of shape {found!r}" if isinstance(found, tuple) else type(found).__name__
    return EstimateError(f"{by} gives {what}", allowed=allowed, advice=f"return {allowed}")


def usual_turn(objective: Supervised, options: TrainOptions, *, steps: int) -> Turn:
    """The turn that learns the network by the chosen loss, with the optimizer and the rate of `train:`."""
    return Turn(
        NETWORK,
        objective,
        learns=(NETWORK,),
        optimizer=decayed(options.optimizer, learning_rate=options.learning_rate, weight_decay=options.weight_decay),
        rate=lambda step: options.learning_rate_at(step, steps=steps),
        clip=options.clip,
    )


def _shared(batch: Batch) -> Callable[[Tensor], Tensor]:
    """The rows of all ranks; a rank without a share has one sample that counts for nothing, and gives none."""
    return lambda tensor: batch.rows(tensor if batch.weight else tensor[:0])
