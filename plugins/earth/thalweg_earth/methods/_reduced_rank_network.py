"""A linear network with a narrow layer, and a network beside it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ReducedRankNetwork(nn.Module):
    """`(sample, *inputs)` to `(sample, *targets)` through `rank` numbers; `plus` is added, times a gain from 0."""

    def __init__(
        self,
        inputs: int,
        targets: tuple[int, ...],
        *,
        rank: int,
        dropout: float = 0.0,
        noise: float = 0.0,
        plus: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.targets, self.noise = targets, noise
        self.dropout = nn.Dropout(dropout)
        self.into = nn.Linear(inputs, rank)
        self.out = nn.Linear(rank, torch.Size(targets).numel())
        # From near zero, so that what explains most is learned first, and the rest hardly if one stops early.
        nn.init.normal_(self.into.weight, std=0.003)
        nn.init.zeros_(self.out.weight)
        self.plus = plus
        self.gain = nn.Parameter(torch.zeros(())) if plus is not None else None

    def forward(self, inputs: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
        seen = inputs + self.noise * torch.randn_like(inputs) if self.training and self.noise else inputs
        estimate: Tensor = self.out(self.into(self.dropout(seen.flatten(1)))).unflatten(1, self.targets)
        if self.plus is None or self.gain is None:
            return estimate
        beside: Tensor = self.plus(inputs)
        return estimate + self.gain * beside
