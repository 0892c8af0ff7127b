"""Networks that learn a difference."""

from __future__ import annotations

from torch import Tensor, nn


class FromLast(nn.Module):
    """The last input plus what a network makes of all; `head`, its last layer, begins with zeros.

    Inputs and targets are the same variables. At first it is persistence; in moving coordinates, extrapolation.
    """

    def __init__(self, network: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.network = network
        zeroed(head)

    def forward(self, inputs: Tensor) -> Tensor:
        made: Tensor = inputs[:, -1:] + self.network(inputs)
        return made


def zeroed(head: nn.Module) -> None:
    """Set the weights and the bias of a layer to 0, so that its output is 0 at first."""
    for each in head.parameters():
        nn.init.zeros_(each)
