r"""Noise with the spectrum of what is to be drawn: of each wave, and between leads.

Of fields $r$ (sample, lead, y, x) the covariance between leads at each wave $k$ is estimated,

$$ C_k = \frac{1}{n \, HW} \sum_i F_k r_i \, (F_k r_i)^H + \epsilon I, \qquad C_k = L_k L_k^H, $$

and white noise $n$ becomes $F^{-1} L F n$. A flow that begins in such noise is, before anything is learned, the
stationary Gaussian that dresses a forecast with its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from thalweg import HandshakeError
from torch import Tensor, nn

Array = NDArray[np.complex128]

RIDGE = 1e-4
"""Share of the mean variance that each wave and lead has at least."""


class Colour(nn.Module):
    """Makes white noise (sample, lead, y, x) coloured; its factors are buffers, kept with a network's weights."""

    factors: Tensor

    def __init__(self, leads: int, height: int, width: int) -> None:
        super().__init__()
        self.shape = (leads, height, width)
        eye = torch.eye(leads, dtype=torch.float32)
        white = torch.stack([eye, torch.zeros_like(eye)], -1).expand(height, width // 2 + 1, leads, leads, 2)
        # Real and imaginary parts along the last axis: files of weights hold no complex numbers.
        self.register_buffer("factors", white.contiguous())

    def forward(self, white: Tensor) -> Tensor:
        """White noise (..., lead, y, x), coloured. Raises `HandshakeError` for another size."""
        return self._mixed(white, lambda factors: factors)

    def covariance(self, vector: Tensor) -> Tensor:
        """$N v$ of vectors (..., lead, y, x), with $N$ the covariance of the coloured noise: $F^{-1} L L^H F v$."""
        return self._mixed(vector, lambda factors: factors @ factors.mH)

    def _mixed(self, fields: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        leads, height, width = self.shape
        if tuple(fields.shape[-3:]) != self.shape:
            raise HandshakeError(
                f"noise of {tuple(fields.shape[-3:])!r} is to be coloured",
                allowed=f"{self.shape!r}: leads, height, width",
                advice="learn on fields of the size that is solved",
            )
        waves = torch.fft.rfft2(fields.reshape(-1, leads, height, width).to(self.factors.dtype))
        factors = of(torch.view_as_complex(self.factors))
        mixed = torch.einsum("yxlm,smyx->slyx", factors, waves)
        found: Tensor = torch.fft.irfft2(mixed, s=(height, width)).to(fields.dtype)
        return found.reshape(fields.shape)

    @torch.no_grad()
    def normalise(self) -> float:
        """Make the variance 1, in the mean over cells and leads, and return the standard deviation that it was."""
        leads, height, width = self.shape
        # Of the half spectrum that is kept, each column but the first, and the last of an even width, stands for two.
        twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
        twice[0] = 1.0
        if width % 2 == 0:
            twice[-1] = 1.0
        power = self.factors.double().square().sum((2, 3, 4))
        size = float(((power * twice).sum() / (leads * height * width)).sqrt())
        if size > 0.0:
            self.factors.div_(size)
        return size

    @torch.no_grad()
    def learn(self, fields: Iterable[NDArray[np.floating]]) -> None:
        """From batches of fields (sample, lead, y, x); cells that are NaN count as the field's mean."""
        leads, height, width = self.shape
        total: Array = np.zeros((height, width // 2 + 1, leads, leads), np.complex128)
        count = 0
        for batch in fields:
            values = np.asarray(batch, np.float64)
            values = np.where(np.isfinite(values), values, np.nanmean(values) if np.isfinite(values).any() else 0.0)
            waves = np.fft.rfft2(values)
            total += np.einsum("slyx,smyx->yxlm", waves, waves.conj())
            count += len(values)
        if count == 0:
            raise HandshakeError(
                "there is no field to learn the colour of noise from",
                allowed="one sample or more",
                advice="lengthen the training period",
            )
        covariance = total / (count * height * width)
        floor = (
            RIDGE * float(np.einsum("yxll->", covariance).real) / (covariance.shape[0] * covariance.shape[1] * leads)
        )
        covariance += max(floor, 1e-12) * np.eye(leads)
        factors = np.linalg.cholesky(covariance)
        found = torch.view_as_real(torch.from_numpy(factors).to(torch.complex64))
        self.factors.copy_(found)
