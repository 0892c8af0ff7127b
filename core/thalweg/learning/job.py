"""A training, as it travels to its ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..components import Hold
from ..components.signature import Signature
from ..samples import Samples
from .contract import Network
from .knowing import Holding
from .options import TrainOptions
from .scaling import Scales

if TYPE_CHECKING:
    import numpy as np

    from .contract import NetworkLearner


@dataclass(frozen=True)
class Job:
    """A learner, what it learns from, and how."""

    learner: NetworkLearner
    train: Samples
    validate: Samples | None
    given: Signature
    wanted: Signature
    scales: Scales
    options: TrainOptions
    holds: tuple[Hold, ...]
    folder: Path
    initial: Mapping[str, np.ndarray[Any, Any]] | None = None
    """Weights to begin with."""

    @cached_property
    def holding(self) -> Holding:
        """Its laws, on the grid of its samples."""
        return Holding(self.holds, self.train.grid)

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.train) // self.options.batch)

    @property
    def piece(self) -> int:
        """Samples that go through the network at once, at most."""
        return -(-self.options.batch // (self.options.ranks * self.options.accumulate))

    def network(self, weights: Mapping[str, np.ndarray[Any, Any]] | None = None) -> Network:
        """What the training is to return."""
        return Network(
            self.learner,
            self.given,
            self.wanted,
            self.learner.gives(self.given, self.wanted),
            self.scales,
            weights,
            tuple(hold for hold in self.holds if hold.site == "operator"),
            self.piece,
            self.options.device,
            self.options.seed,
        )
