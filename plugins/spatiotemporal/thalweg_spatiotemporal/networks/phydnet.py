r"""PhyDNet: a latent state that follows a partial differential equation, beside one that an LSTM keeps.

The physical cell predicts by a step of Euler and corrects by what it sees:

    u~ = u + F(u)        u' = u~ + K (e - u~)        K = sigma(W * [e, u])

F combines `kernel ** 2` convolutions linearly. The moment loss pulls the k-th of them to the derivative
$\partial_y^i \partial_x^j$, $k = i \cdot kernel + j$: a filter $w$ acts on smooth fields as
$\sum_{ij} m_{ij} \partial_y^i \partial_x^j$ with the moments $m_{ij} = \sum_{uv} w_{uv}\, u^i v^j / (i!\, j!)$.
"""

from __future__ import annotations

from itertools import pairwise
from math import factorial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._recurrent import Memory, Recurrent
from .convlstm import ConvLSTMCell


def moment_matrix(size: int) -> Float[Tensor, "order offset"]:
    """$M_{iu} = u^i / i!$ for offsets u about the centre, in float64."""
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) // 2
    return torch.stack([offsets**order / factorial(order) for order in range(size)])


def moments(filters: Float[Tensor, "... size size"]) -> Float[Tensor, "... size size"]:
    """The moments of square filters: $M w M^T$, in float64."""
    matrix = moment_matrix(filters.shape[-1]).to(filters.device)
    return matrix @ filters.double() @ matrix.T


def filters_of(moment: Float[Tensor, "... size size"]) -> Float[Tensor, "... size size"]:
    """The filters that have these moments: $M^{-1} m M^{-T}$, in float64."""
    inverse = torch.linalg.inv(moment_matrix(moment.shape[-1])).to(moment.device)
    filters: Tensor = inverse @ moment.double() @ inverse.T
    return filters


class PhysicalCell(nn.Module):
    """One step of the latent equation."""

    def __init__(self, width: int, *, kernel: int) -> None:
        super().__init__()
        self.derivatives = nn.Conv2d(width, kernel**2, kernel, padding=kernel // 2)
        self.combine = nn.Sequential(nn.GroupNorm(kernel, kernel**2), nn.Conv2d(kernel**2, width, 1))
        self.gain = nn.Conv2d(2 * width, width, 3, padding=1)

    def forward(
        self, seen: Float[Tensor, "sample width row column"], state: Float[Tensor, "sample width row column"]
    ) -> Float[Tensor, "sample width row column"]:
        gain = self.gain(torch.cat([seen, state], dim=1)).sigmoid()
        predicted = state + self.combine(self.derivatives(state))
        corrected: Tensor = predicted + gain * (seen - predicted)
        return corrected

    def moment_loss(self) -> Float[Tensor, ""]:
        """Mean square distance of the filters' moments from those of the derivatives, added over the latent fields."""
        found = moments(self.derivatives.weight)
        size = found.shape[-1]
        wanted = torch.eye(size**2, dtype=found.dtype, device=found.device).unflatten(1, (size, size))
        loss: Tensor = (found - wanted[:, None]).square().mean((0, 2, 3)).sum()
        return loss.to(self.derivatives.weight.dtype)


class PhyDNet(Recurrent):
    """Encoder and decoder to a quarter of the size, and in the latent space a physical cell beside layers of ConvLSTM.

    `residual` are the widths of the ConvLSTM; the last is the latent width. `output: sigmoid` bounds frames by 0 and 1.
    """

    def __init__(
        self,
        *,
        steps: int,
        channels: int = 1,
        width: int = 32,
        residual: tuple[int, ...] = (128, 128, 64),
        kernel: int = 7,
        output: Literal["linear", "sigmoid"] = "linear",
    ) -> None:
        super().__init__(steps=steps, patch=1)
        latent = residual[-1]
        self.output, self.latent, self.residual = output, latent, residual
        self.encode = nn.Sequential(_down(channels, width, 2), _down(width, width, 1), _down(width, latent, 2))
        self.encode_physical = nn.Sequential(_down(latent, latent, 1), _down(latent, latent, 1))
        self.encode_residual = nn.Sequential(_down(latent, latent, 1), _down(latent, latent, 1))
        self.physical = PhysicalCell(latent, kernel=kernel)
        self.cells = nn.ModuleList(
            ConvLSTMCell(one, other, kernel=3, bias=True) for one, other in pairwise([latent, *residual])
        )
        self.decode_physical = nn.Sequential(_up(latent, latent, 1), _up(latent, latent, 1))
        self.decode_residual = nn.Sequential(_up(latent, latent, 1), _up(latent, latent, 1))
        self.decode = nn.Sequential(_up(latent, width, 2), _up(width, width, 1))
        self.out = nn.ConvTranspose2d(width, channels, 3, stride=2, padding=1, output_padding=1)

    def moment_loss(self) -> Float[Tensor, ""]:
        """That of the physical cell; the publication adds it to the loss of the frames with weight 1."""
        return self.physical.moment_loss()

    def begin(self, frame: Float[Tensor, "sample depth row column"]) -> Memory:
        size = [-(-each // 4) for each in frame.shape[2:]]
        widths = [self.latent, *(width for width in self.residual for _ in range(2))]
        return tuple(frame.new_zeros(frame.shape[0], width, *size) for width in widths)

    def step(
        self, frame: Float[Tensor, "sample depth row column"], memory: Memory
    ) -> tuple[Float[Tensor, "sample depth row column"], Memory]:
        physical, *states = memory
        code = self.encode(frame)
        physical = self.physical(self.encode_physical(code), physical)
        plane, after = self.encode_residual(code), []
        for number, cell in enumerate(self.cells):
            plane, kept = cell(plane, *states[2 * number : 2 * number + 2])
            after += [plane, kept]
        made = self.out(self.decode(self.decode_physical(physical) + self.decode_residual(plane)))
        made = made[..., : frame.shape[2], : frame.shape[3]]
        return made.sigmoid() if self.output == "sigmoid" else made, (physical, *after)


def _down(inputs: int, width: int, stride: int) -> nn.Sequential:
    convolve = nn.Conv2d(inputs, width, 3, stride=stride, padding=1)
    return nn.Sequential(convolve, nn.GroupNorm(16, width), nn.LeakyReLU(0.2))


def _up(inputs: int, width: int, stride: int) -> nn.Sequential:
    convolve = nn.ConvTranspose2d(inputs, width, 3, stride=stride, padding=1, output_padding=stride - 1)
    return nn.Sequential(convolve, nn.GroupNorm(16, width), nn.LeakyReLU(0.2))
