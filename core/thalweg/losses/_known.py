"""Means over the cells of each sample that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def difference(estimate: Tensor, truth: Tensor) -> Tensor:
    """Estimate minus truth, in the truth's precision; 0, with no gradient, where the truth is missing (NaN)."""
    import torch

    return torch.where(torch.isnan(truth), 0.0, estimate.to(truth.dtype) - truth)


def one_sided(below: Tensor, level: float) -> Tensor:
    r"""Weights of errors: $2 \ell$ where the truth is above the estimate, by `below`, $2 (1 - \ell)$ elsewhere."""
    import torch

    return torch.where(below > 0, 2 * level, 2 * (1 - level))


def mean_over_known(size: Tensor, truth: Tensor) -> Tensor:
    """`(sample,)`: the sum of a size that is 0 where the truth is missing, by the number of known cells."""
    import torch

    known = (~torch.isnan(truth)).flatten(1).sum(1)
    return size.flatten(1).sum(1) / known.clamp(min=1)
