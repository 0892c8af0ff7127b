"""Enforcers of the `loss` site that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import xarray as xr
from thalweg import (
    Law,
    LossEnforcer,
    TensorLaw,
)


class Pull(LossEnforcer):
    """The mean square of a residual."""

    takes: ClassVar[tuple[type[Law], ...]] = (TensorLaw,)

    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        assert isinstance(law, TensorLaw)
        return law.tensor_residual(estimate, context, grid=grid).square().mean()


class PullEach(Pull):
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return super().penalty(law, estimate, context, grid=grid).expand(2)


class Push(Pull):
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        value = super().penalty(law, estimate, context, grid=grid)
        return 2 * value.detach() + (value.detach() - value)


class PullToo(Pull):
    """Pulls at what obeys."""

    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return super().penalty(law, estimate, context, grid=grid) + 1e-3


class PullDown(Pull):
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return super().penalty(law, estimate, context, grid=grid) - 100


class PullNaN(Pull):
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return super().penalty(law, estimate, context, grid=grid) * float("nan")


KEPT = Pull


MUTANTS: Mapping[str, Any] = {
    "penalty_is_a_positive_scalar": (PullEach, PullDown, PullNaN),
    "penalty_is_zero_where_the_law_holds": PullToo,
    "descending_it_leads_to_the_law": Push,
}
"""Parts that break a check, by its name."""
