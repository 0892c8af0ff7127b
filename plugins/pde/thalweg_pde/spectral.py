"""A convolution given by its Fourier multipliers at the lowest frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn


def spectral_parameters(inputs: int, outputs: int, modes: Sequence[int]) -> int:
    r"""Real numbers in a `SpectralConvolution`: $2 \prod_{i<d} (2 m_i - 1) \, m_d \, c_{in} c_{out}$."""
    return 2 * prod(2 * m - 1 for m in modes[:-1]) * modes[-1] * inputs * outputs


class SpectralConvolution(nn.Module):
    r"""$y = F^{-1} R \, F x$ with $R(k)$ a matrix over channels for $|k_i| < m_i$, and 0 elsewhere.

    Tensors are channels last, in one to three dims of space. Without a bias, linear, and the same function at any
    resolution. Of a grid too coarse for a mode ($m_i > N_i / 2$) that mode is left out. As the fields are real, only
    $k_d \ge 0$ is kept; unlike the published layer the other dims keep $k$ and $-k$ alike.

    `frequencies`, `multipliers`, `analyse` and `synthesise` are what a boundary correction needs.
    """

    def __init__(self, inputs: int, outputs: int, *, modes: Sequence[int]) -> None:
        super().__init__()
        self.modes = tuple(modes)
        kept = (*(2 * m - 1 for m in self.modes[:-1]), self.modes[-1])
        # Pairs of reals: safetensors and gloo know no complex numbers. The last axis is (real, imaginary).
        self.weight = nn.Parameter(torch.rand(*kept, inputs, outputs, 2) / (inputs * outputs))

    def frequencies(self, sizes: Sequence[int]) -> tuple[Tensor, ...]:
        """The frequencies kept of a grid of these sizes, by dim, in the order of the FFT; the last are not negative."""
        found = []
        for number, (m, size) in enumerate(zip(self.modes, sizes, strict=True)):
            m = max(1, min(m, size // 2))
            up = torch.arange(m, device=self.weight.device)
            last = number == len(self.modes) - 1
            found.append(up if last else torch.cat([up, torch.arange(1 - m, 0, device=self.weight.device)]))
        return tuple(found)

    def multipliers(self, sizes: Sequence[int]) -> Complex[Tensor, "*kept inputs outputs"]:
        """$R$ at `frequencies(sizes)`."""
        found = torch.view_as_complex(self.weight)
        for dim, frequency in enumerate(self.frequencies(sizes)):
            if len(frequency) < found.shape[dim]:
                found = found.index_select(dim, frequency % found.shape[dim])
        return found

    def analyse(self, x: Float[Tensor, "sample *space inputs"]) -> Complex[Tensor, "sample *kept inputs"]:
        """$F x$ at the frequencies kept."""
        sizes = x.shape[1:-1]
        found: Tensor = torch.fft.rfftn(x, dim=tuple(range(1, x.ndim - 1)))
        for dim, frequency in enumerate(self.frequencies(sizes), start=1):
            if dim == len(sizes):
                found = found.narrow(dim, 0, len(frequency))
            else:
                found = found.index_select(dim, frequency % sizes[dim - 1])
        return found

    def synthesise(
        self, spectrum: Complex[Tensor, "sample *kept outputs"], *, sizes: Sequence[int]
    ) -> Float[Tensor, "sample *space outputs"]:
        """$F^{-1}$ of a spectrum that is 0 at the frequencies not kept."""
        for dim, frequency in enumerate(self.frequencies(sizes)[:-1], start=1):
            shape = [*spectrum.shape[:dim], sizes[dim - 1], *spectrum.shape[dim + 1 :]]
            spectrum = spectrum.new_zeros(shape).index_copy(dim, frequency % sizes[dim - 1], spectrum)
        found: Tensor = torch.fft.irfftn(spectrum, s=tuple(sizes), dim=tuple(range(1, len(sizes) + 1)))
        return found

    def forward(self, x: Float[Tensor, "sample *space inputs"]) -> Float[Tensor, "sample *space outputs"]:
        sizes = tuple(x.shape[1:-1])
        return self.synthesise(multiply(self.analyse(x), self.multipliers(sizes)), sizes=sizes)


def multiply(
    spectrum: Complex[Tensor, "sample *kept inputs"], multipliers: Complex[Tensor, "*kept inputs outputs"]
) -> Complex[Tensor, "sample *kept outputs"]:
    """A matrix over channels for each frequency."""
    kept, (inputs, outputs) = multipliers.shape[:-2], multipliers.shape[-2:]
    by_mode = spectrum.reshape(len(spectrum), -1, inputs).transpose(0, 1)
    product = torch.bmm(by_mode, multipliers.reshape(-1, inputs, outputs))
    return product.transpose(0, 1).reshape(len(spectrum), *kept, outputs)
