"""Losses that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from thalweg import (
    Loss,
)


class Squared(Loss):
    """Mean squared error."""

    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((estimate - truth) ** 2).mean()


class PerSample(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((estimate - truth) ** 2).mean((1, 2, 3))


class Rounded(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((estimate.round() - truth) ** 2).mean()


class Negative(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return -((estimate - truth) ** 2).mean()


class Shrinks(Squared):
    """Asks for zero as well, whatever is known."""

    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return super().value(estimate, truth) + 0.01 * (estimate**2).mean()


class Undefined(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((estimate - truth) ** 2).mean() / 0


KEPT = Squared


MUTANTS: Mapping[str, Any] = {
    "value_is_a_finite_scalar": (PerSample, Undefined),
    "it_can_be_descended": Rounded,
    "truth_is_best": Negative,
    "unknown_cells_pull_nothing": Shrinks,
}
"""Parts that break a check, by its name."""
