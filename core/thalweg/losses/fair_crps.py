"""The fair continuous ranked probability score of an ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ..components.loss import Loss
from ._known import difference, mean_over_known

if TYPE_CHECKING:
    from torch import Tensor


class FairCRPS(Loss):
    r"""The fair CRPS of $M$ members, a mean over the known cells of a sample.

    $\frac1M \sum_m |x_m - y| - \frac{1}{2 M (M - 1)} \sum_{m, n} |x_m - x_n|$: unbiased in the number of members, of
    which there must be two. The estimate is `(sample, member, ...)`. Sums of pairs are of sorted members. With a
    `share` $\alpha < 1$ it is almost fair, $\alpha$ of it and $1 - \alpha$ of the CRPS of the members as they are: the
    fair score says nothing of where one of two members is, once the other is right.
    """

    cite: ClassVar[str] = "10.1002/qj.2270 10.48550/arXiv.2412.15832"
    takes: ClassVar[Literal["point", "variance", "member", "embedding"]] = "member"

    share: float = Field(
        1.0, ge=0.0, le=1.0, description="part of the fair score in it; the rest is that of the members as they are"
    )

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        import torch

        truth_of_each = truth.unsqueeze(1).expand(truth.shape[0], estimate.shape[1], *truth.shape[1:])
        errors = difference(estimate, truth_of_each).abs().mean(1)
        count = estimate.shape[1]
        members = estimate.to(truth.dtype).sort(dim=1).values
        # Sorted, a member is above m others and below count - 1 - m.
        above = 2 * torch.arange(count, dtype=truth.dtype, device=truth.device) - (count - 1)
        # M (M - 1) of the fair score, M^2 of the members as they are.
        by = count**2 * (count - 1) / (self.share * count + (1.0 - self.share) * (count - 1))
        pairs = (members * above.view(-1, *[1] * (truth.ndim - 1))).sum(1) / by
        return mean_over_known(errors - torch.where(torch.isnan(truth), 0.0, pairs), truth)
