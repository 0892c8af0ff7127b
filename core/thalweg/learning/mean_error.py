"""The mean squared error of a batch."""

from __future__ import annotations

from torch import Tensor

from ..losses.mean_squared import MeanSquared


def mean_squared_error(estimate: Tensor, truth: Tensor) -> Tensor:
    r"""Mean over samples of $\sum (x - y)^2 / n$ over the $n$ known cells of each; NaN in the truth is unknown."""
    return MeanSquared().value(estimate, truth).mean()
