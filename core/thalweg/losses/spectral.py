"""A loss of fields and of their spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, NonNegativeFloat

from ..components.loss import Loss
from ._known import difference, mean_over_known

if TYPE_CHECKING:
    from torch import Tensor


class Spectral(Loss):
    r"""The mean squared error of a field, and that of the amplitudes of its Fourier modes over the last two dims of
    space.

    $\frac1n \sum (x - y)^2 + \frac{w}{n} \sum_k (|\hat x_k| - |\hat y_k|)^2$, with unitary transforms: an estimate that
    is blurred loses amplitude, where one that is displaced does not. Cells whose truth is missing are 0 in both fields.
    The estimate is `(sample, ..., row, column, channel)`.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2012.12821"

    weight: NonNegativeFloat = Field(1.0, description="weight of the amplitudes beside the squared error")

    def value(self, estimate: Tensor, truth: Tensor) -> Tensor:
        import torch

        error = difference(estimate, truth)
        known = torch.where(torch.isnan(truth), 0.0, truth)
        dims = (-3, -2) if truth.ndim > 3 else (-2,)
        one, other = (torch.fft.fftn(each, dim=dims, norm="ortho") for each in (known + error, known))
        # The derivative of an amplitude is not finite where it is 0.
        amplitudes = [(each.real.square() + each.imag.square() + 1e-12).sqrt() for each in (one, other)]
        return mean_over_known(error.square() + self.weight * (amplitudes[0] - amplitudes[1]).square(), truth)
