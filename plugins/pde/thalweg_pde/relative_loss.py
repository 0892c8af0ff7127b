"""The loss of a neural operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from thalweg import Loss

if TYPE_CHECKING:
    from torch import Tensor


class RelativeLoss(Loss):
    r"""The relative error of a sample in L2, $\|x - y\| / \|y\|$ over its known cells."""

    cite: ClassVar[str] = "10.48550/arXiv.2010.08895"

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        import torch

        missing = torch.isnan(truth)
        error = torch.where(missing, 0.0, estimate - truth)
        error, norm = ((each.flatten(1) ** 2).sum(1) for each in (error, torch.where(missing, 0.0, truth)))
        ratio: Tensor = (error / norm.clamp(min=1e-12)).sqrt()
        return ratio
