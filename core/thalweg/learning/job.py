"""A training, as it travels to its ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..components import Hold
from ..samples import Samples
from ..signature import Signature
from .options import TrainOptions
from .scaling import Scales

if TYPE_CHECKING:
    from .learner import TorchLearner

Report = Callable[[Mapping[str, float], int], None]


@dataclass(frozen=True)
class Job:
    """A learner, what it learns from, and how."""

    learner: TorchLearner
    train: Samples
    validate: Samples | None
    given: Signature
    wanted: Signature
    scales: Scales
    options: TrainOptions
    holds: tuple[Hold, ...]
    folder: Path

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.train) // self.options.batch)

    @property
    def piece(self) -> int:
        """Samples that go through the network at once, at most."""
        return -(-self.options.batch // (self.options.ranks * self.options.accumulate))
