"""What is minimised."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Literal, final

from torch import Tensor, nn

from .batch import Batch


class Objective(nn.Module):
    """What one optimizer minimises: a module of the networks that it trains, so that all of it is seen by
    DistributedDataParallel.
    """

    over: Literal["sample", "batch"] = "sample"
    """`sample`: the gradient of a batch is the weighted mean of its micro-batches'. `batch`: it is not, so that a step
    must see all its samples at once."""

    @abstractmethod
    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Scalars by name: `loss` is minimised, the others are reported beside it."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of a batch; only the loss has a gradient."""
        return {name: each if name == "loss" else each.detach() for name, each in self.terms(batch).items()}


class BatchObjective(Objective):
    """A loss that compares the samples of a step with each other: it is of the samples on all ranks, on each rank."""

    over: Literal["sample", "batch"] = "batch"

    @abstractmethod
    def outputs(self, batch: Batch) -> Mapping[str, Tensor]:
        """`(sample, ...)` each: what the loss is of. All that a network computes is computed here, truth included."""

    @abstractmethod
    def loss(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The terms, from the outputs of all samples of the step."""

    @final
    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms of the whole step: outputs are gathered over ranks, with their gradient."""
        outputs = self.outputs(batch)
        # A rank without a share has one sample that counts for nothing, and takes part in the exchange with none.
        return self.loss({name: batch.rows(each if batch.weight else each[:0]) for name, each in outputs.items()})
