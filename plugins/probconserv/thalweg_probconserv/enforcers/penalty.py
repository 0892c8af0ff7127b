"""Laws as terms of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import xarray as xr
from pydantic import Field, PositiveFloat
from thalweg import DifferentiableLaw, Fields, Held, Law, LinearLaw, LossEnforcer

if TYPE_CHECKING:
    from torch import Tensor


class Penalty(LossEnforcer):
    r"""Adds $\lambda \, \overline{r^2}$ to the loss; also called SoftC.

    $r$ is the residual of a law, in its units, over rows, leads, members and samples: $G x - b$ of a linear law, 0 of
    a row that says nothing, or a law's own, by automatic differentiation. Each law is a term of its own. The law then
    holds as far as the loss and the samples it learned from make it. Raises `HandshakeError` for a linear law under a
    method that learns from scattered points.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw, DifferentiableLaw)

    weight: PositiveFloat = Field(
        1.0,
        description="factor of the mean squared residual in the loss, in units of the loss per squared units of "
        "the residual",
    )

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return held.known(context)

    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, Tensor]) -> Tensor:
        first, *rest = (gap.square().mean() for gap in held.residuals(estimate, known))
        total: Tensor = self.weight * sum(rest, first)
        return total
