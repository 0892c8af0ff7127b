"""What a network is told of the noise level."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sinusoids(levels: Tensor, channels: int) -> Tensor:
    r"""(sample, channels): $\cos(t f_i)$, then $\sin(t f_i)$, $f_i = 10^{-4 i / h}$, $h$ half the channels.

    Raises nothing for odd channels: the last is then 0.
    """
    half = channels // 2
    frequencies = torch.exp(-math.log(1e4) / half * torch.arange(half, dtype=torch.float32, device=levels.device))
    angles = levels.float()[:, None] * frequencies
    found = torch.cat([angles.cos(), angles.sin()], -1)
    return found if found.shape[-1] == channels else nn.functional.pad(found, (0, 1))


class NoiseLevel(nn.Module):
    """Sinusoids of the level, through two layers of `channels * widening`."""

    def __init__(self, channels: int, *, widening: int = 4) -> None:
        super().__init__()
        self.channels, self.out = channels, channels * widening
        self.layer = nn.Sequential(nn.Linear(channels, self.out), nn.SiLU(), nn.Linear(self.out, self.out))

    def forward(self, levels: Tensor) -> Tensor:
        """(sample,) to (sample, channels * widening)."""
        found: Tensor = self.layer(sinusoids(levels, self.channels))
        return found
