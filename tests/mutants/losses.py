"""Losses that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from thalweg import (
    Loss,
)


class Squared(Loss):
    """Mean squared error over the known cells of each sample."""

    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        error = torch.where(torch.isnan(truth), 0.0, estimate - truth)
        return self.mean(error.square(), truth)

    def mean(self, size: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return size.flatten(1).sum(1) / (~torch.isnan(truth)).flatten(1).sum(1)


class Scalar(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return super().value(estimate, truth).mean()


class Undefined(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return super().value(estimate, truth) / 0


class Compares(Squared):
    """By the batch's own mean error."""

    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        values = super().value(estimate, truth)
        return values * (1 + values.mean())


class Rounded(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return super().value(estimate.round(), truth)


class Negative(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return -super().value(estimate, truth)


class Shrinks(Squared):
    """Asks for zero as well, whatever is known."""

    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return super().value(estimate, truth) + 0.01 * (estimate**2).flatten(1).mean(1)


class Unmasked(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return (estimate - truth).square().flatten(1).mean(1)


class OverAll(Squared):
    """By the number of all cells."""

    def mean(self, size: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return size.flatten(1).mean(1)


KEPT = Squared


MUTANTS: Mapping[str, Any] = {
    "value_is_finite_and_one_for_each_sample": (Scalar, Undefined),
    "samples_do_not_see_one_another": Compares,
    "it_can_be_descended": Rounded,
    "truth_is_best": Negative,
    "unknown_cells_pull_nothing": (Shrinks, Unmasked),
    "unknown_cells_weigh_nothing": OverAll,
}
"""Parts that break a check, by its name."""
