"""The network of the toy learner."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ToyNetwork(nn.Module):
    """`(sample, lead, *space, channel)`: leads and channels of each cell through two linear layers."""

    def __init__(self, given: tuple[int, ...], wanted: tuple[int, ...], *, width: int, dropout: float) -> None:
        super().__init__()
        self._lead, self._channels = wanted[0], wanted[-1]
        self.into = nn.Linear(given[0] * given[-1], width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, wanted[0] * wanted[-1])
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, inputs: Tensor) -> Tensor:
        cells = inputs.movedim(1, -2).flatten(-2)
        hidden = self.dropout(torch.tanh(self.into(cells)))
        output: Tensor = self.out(hidden)
        return output.reshape(*output.shape[:-1], self._lead, self._channels).movedim(-2, 1)
