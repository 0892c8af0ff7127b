"""The loss of a recurrent network over every frame that it makes, with scheduled sampling."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .networks._recurrent import Forcing, Recurrent


def next_frames(
    network: Recurrent,
    inputs: Float[Tensor, "sample time y x channel"],
    truth: Float[Tensor, "sample lead y x channel"],
    *,
    probability: float,
    together: bool,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Float[Tensor, "sample lead y x channel"], Float[Tensor, ""]]:
    """The estimate of the truth, and the loss of all next frames. Each frame is shown with `probability`.

    NaN in the truth is missing: it is fed as 0 and adds nothing to the loss. Draws come from torch's own generator on
    the CPU, whatever the device, one for the batch with `together`.
    """
    draws = torch.rand(1 if together else (truth.shape[0], truth.shape[1] - 1))
    shown = (draws < probability).expand(truth.shape[0], truth.shape[1] - 1).to(inputs.device)
    made = network(inputs, Forcing(truth.nan_to_num(nan=0.0), shown))
    wanted = torch.cat([inputs[:, 1:], truth], dim=1)
    return made[:, -truth.shape[1] :], loss(made, wanted)
