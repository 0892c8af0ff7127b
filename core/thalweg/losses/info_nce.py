"""A contrastive loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveFloat

from ..components.loss import Loss

if TYPE_CHECKING:
    from torch import Tensor


class InfoNCE(Loss):
    r"""How well each estimate is told from the truths of the other samples of its batch, and each truth from the
    estimates.

    $-\frac1{2N} \sum_i \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}} + \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}}$, with
    the cosine between an estimate and a truth by the temperature, $s_{ij}$. Missing truth is 0 in both. Over the batch:
    gathered over ranks, and not cut into micro-batches.
    """

    cite: ClassVar[str] = "10.48550/arXiv.1807.03748 10.48550/arXiv.2103.00020"
    over: ClassVar[Literal["sample", "batch"]] = "batch"

    temperature: PositiveFloat = Field(0.07, description="what cosines are divided by: smaller is sharper")

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        import torch
        from torch.nn.functional import cross_entropy, normalize

        known = ~torch.isnan(truth)
        one, other = (
            normalize(torch.where(known, each.to(truth.dtype), 0.0).flatten(1), dim=1) for each in (estimate, truth)
        )
        scores = one @ other.T / self.temperature
        own = torch.arange(len(scores), device=scores.device)
        return (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2
