"""A Fourier neural operator in one to three dims of space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from .spectral import SpectralConvolution, spectral_parameters

PROJECTION = 128


def parameters(*, inputs: int, outputs: int, modes: Sequence[int], width: int, layers: int) -> int:
    """Real numbers that an `FNO` learns."""
    lifting = (inputs + len(modes) + 1) * width
    block = spectral_parameters(width, width, modes) + (width + 1) * width
    return lifting + layers * block + (width + 1) * PROJECTION + (PROJECTION + 1) * outputs


class FNO(nn.Module):
    r"""$u \mapsto Q \circ (\sigma(K_L + W_L)) \circ \dots \circ P(u, x)$ with spectral convolutions $K$, pointwise $W$.

    Tensors are channels last. The coordinates, 0 to 1 along each dim, are appended to the channels. No GELU after the
    last layer, as published; nothing is padded.
    """

    def __init__(self, inputs: int, outputs: int, *, modes: Sequence[int], width: int, layers: int = 4) -> None:
        super().__init__()
        self.lifting = nn.Linear(inputs + len(modes), width)
        self.spectral = nn.ModuleList(SpectralConvolution(width, width, modes=modes) for _ in range(layers))
        self.skip = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.projection = nn.Sequential(nn.Linear(width, PROJECTION), nn.GELU(), nn.Linear(PROJECTION, outputs))

    def linear_layers(self) -> tuple[str, ...]:
        """Names of the layers that map a field to a field linearly, for a correction of their kernels."""
        return tuple(f"{kind}.{i}" for kind in ("spectral", "skip") for i in range(len(self.spectral)))

    def forward(self, u: Float[Tensor, "sample *space inputs"]) -> Float[Tensor, "sample *space outputs"]:
        x = self.lifting(torch.cat([u, _coordinates(u)], -1))
        last = len(self.spectral) - 1
        for number, (spectral, skip) in enumerate(zip(self.spectral, self.skip, strict=True)):
            x = spectral(x) + skip(x)
            if number < last:
                x = functional.gelu(x)
        projected: Tensor = self.projection(x)
        return projected


def _coordinates(u: Tensor) -> Tensor:
    sizes = u.shape[1:-1]
    axes = [torch.linspace(0, 1, size, device=u.device, dtype=u.dtype) for size in sizes]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    return grid.expand(len(u), *grid.shape)
