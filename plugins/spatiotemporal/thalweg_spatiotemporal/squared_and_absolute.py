"""The loss of E3D-LSTM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg import Loss

if TYPE_CHECKING:
    from torch import Tensor


class SquaredAndAbsolute(Loss):
    r"""The mean squared error plus the mean absolute error, over the known cells of a sample."""

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        import torch

        missing = torch.isnan(truth)
        error = torch.where(missing, 0.0, estimate.to(truth.dtype) - truth).flatten(1)
        known = (~missing).flatten(1).sum(1).clamp(min=1)
        return error.square().sum(1) / known + error.abs().sum(1) / known
