"""A network on fields of space, given fields of lead and space."""

from __future__ import annotations

from torch import Tensor, nn


class Folded(nn.Module):
    """Leads, where there are any, are channels of the network: `(sample, [lead,] *space, channel)` in and out."""

    def __init__(self, network: nn.Module, *, leads_in: bool, leads_out: int) -> None:
        super().__init__()
        self.network, self._leads_in, self._leads_out = network, leads_in, leads_out

    def forward(self, inputs: Tensor) -> Tensor:
        folded = inputs.movedim(1, -2).flatten(-2) if self._leads_in else inputs
        output: Tensor = self.network(folded)
        if self._leads_out:
            output = output.reshape(*output.shape[:-1], self._leads_out, -1).movedim(-2, 1)
        return output
