"""The quantile loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ..components.loss import Loss
from ._known import difference, mean_over_known, one_sided

if TYPE_CHECKING:
    from torch import Tensor


class Quantile(Loss):
    r"""The absolute error, weighted $2 \ell$ where the truth is above the estimate and $2 (1 - \ell)$ below.

    Its minimum is the quantile $\ell$; at 1/2 it is the absolute error.
    """

    cite: ClassVar[str] = "10.2307/1913643"

    level: float = Field(0.5, gt=0, lt=1, description="the quantile that is learned, as a probability")

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        below = -difference(estimate, truth)
        return mean_over_known(below.abs() * one_sided(below, self.level), truth)
