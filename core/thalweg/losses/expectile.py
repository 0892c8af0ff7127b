"""The expectile loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ..components.loss import Loss
from ._known import difference, mean_over_known, one_sided

if TYPE_CHECKING:
    from torch import Tensor


class Expectile(Loss):
    r"""The squared error, weighted $2 \ell$ where the truth is above the estimate and $2 (1 - \ell)$ below.

    Its minimum is the expectile $\ell$; at 1/2 it is the squared error.
    """

    cite: ClassVar[str] = "10.2307/1911031"

    level: float = Field(0.5, gt=0, lt=1, description="the expectile that is learned, as a share of the weights")

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        below = -difference(estimate, truth)
        return mean_over_known(below.square() * one_sided(below, self.level), truth)
