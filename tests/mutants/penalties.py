"""Enforcers of the `loss` site that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import xarray as xr
from thalweg import (
    DifferentiableLaw,
    Fields,
    Held,
    Law,
    LossEnforcer,
)


class Pull(LossEnforcer):
    """The mean square of a residual."""

    takes: ClassVar[tuple[type[Law], ...]] = (DifferentiableLaw,)

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return held.known(context)

    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        (gap,) = held.residuals(estimate, known)
        return gap.square().mean()


class PullEach(Pull):
    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return super().penalty(estimate, held, known).expand(2)


class Push(Pull):
    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        value = super().penalty(estimate, held, known)
        return 2 * value.detach() + (value.detach() - value)


class PullToo(Pull):
    """Pulls at what obeys."""

    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return super().penalty(estimate, held, known) + 1e-3


class PullDown(Pull):
    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return super().penalty(estimate, held, known) - 100


class PullNaN(Pull):
    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return super().penalty(estimate, held, known) * float("nan")


KEPT = Pull


MUTANTS: Mapping[str, Any] = {
    "penalty_is_a_positive_scalar": (PullEach, PullDown, PullNaN),
    "penalty_is_zero_where_the_law_holds": PullToo,
    "descending_it_leads_to_the_law": Push,
}
"""Parts that break a check, by its name."""
