"""A part that a learner minimises."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from .component import Component

if TYPE_CHECKING:
    import torch


class Loss(Component):
    """What a learner minimises."""

    @abstractmethod
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """A scalar."""
