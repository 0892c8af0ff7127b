"""Moving coordinates: inputs are carried to the time of the last of them, and what a network makes is carried on.

The motion is found from the inputs alone, by optical flow, so that a network has only to learn how a field changes
along it. After 10.1109/JSTARS.2023.3238016.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..motion import FRAMES, carried, displacements, in_full, optical_flow


class Moving(nn.Module):
    """A network of fields `(sample, lead, row, column, channel)`, in coordinates that move with them.

    All channels move alike, with the motion of their mean. What flows in over the edge is 0.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Float[Tensor, "sample time row column channel"]) -> Tensor:
        with torch.no_grad(), in_full(inputs):
            fields = inputs.float()
            motion = optical_flow(fields[:, -FRAMES:].mean(-1))
            past = displacements(motion, inputs.shape[1] - 1).flip(1)
            still = torch.zeros_like(past[:, :1])
            seen = carried(fields, torch.cat([past, still], dim=1))
        made = self.network(seen.to(inputs.dtype)).float()
        with torch.no_grad(), in_full(inputs):
            coming = displacements(motion, made.shape[1])
        return carried(made, coming)
