"""The last input plus what a network makes of all."""

from __future__ import annotations

from torch import Tensor, nn


class FromLast(nn.Module):
    """`inputs[:, -1:] + network(inputs)`; `head`, the network's last layer, begins with zeros."""

    def __init__(self, network: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.network = network
        for each in head.parameters():
            nn.init.zeros_(each)

    def forward(self, inputs: Tensor) -> Tensor:
        made: Tensor = inputs[:, -1:] + self.network(inputs)
        return made
