"""The mean absolute error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..components.loss import Loss
from ._known import difference, mean_over_known

if TYPE_CHECKING:
    from torch import Tensor


class Absolute(Loss):
    r"""The mean absolute error over the known cells of a sample, $\sum |x - y| / n$: its minimum is the median."""

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        return mean_over_known(difference(estimate, truth).abs(), truth)
