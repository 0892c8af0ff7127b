"""The mean squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components.loss import Loss
from ._known import difference, mean_over_known

if TYPE_CHECKING:
    from torch import Tensor


class MeanSquared(Loss):
    r"""The mean squared error over the known cells of a sample, $\sum (x - y)^2 / n$: its minimum is the mean."""

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        return mean_over_known(difference(estimate, truth).square(), truth)
