"""Mean errors of a batch: what is minimised where a learner says nothing else."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def mean_squared_error(estimate: Tensor, truth: Tensor) -> Tensor:
    r"""Mean over samples of $\sum (x - y)^2 / n$ over the $n$ known cells of each; NaN in the truth is unknown.

    The mean of each sample first, so that the mean over any pieces of a batch is the batch's.
    """
    known = ~torch.isnan(truth)
    squares = torch.where(known, estimate.float() - truth, 0.0).square().flatten(1).sum(1)
    return (squares / known.flatten(1).sum(1).clamp(min=1)).mean()


def mean_error(estimate: Tensor, truth: Tensor, *, error: Literal["square", "absolute"], level: float = 0.5) -> Tensor:
    r"""Mean of $2 \ell e$ where the truth is above the estimate, $2 (1 - \ell) e$ below, with the `error` $e$.

    Its minimum is the mean (square) or the median (absolute) at $\ell = 1/2$, else the expectile or quantile $\ell$.
    """
    above = truth - estimate.float()
    size = above.square() if error == "square" else above.abs()
    return (size * torch.where(above > 0, 2 * level, 2 * (1 - level))).mean()
