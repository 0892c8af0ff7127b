"""A part that a learner minimises."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from .component import Component

if TYPE_CHECKING:
    import torch


class Loss(Component):
    """A loss function, which a learner minimises."""

    @abstractmethod
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, a scalar tensor."""
