"""A linear autoencoder of frames: what tests of codes, and of networks on them, are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field
from thalweg.learning import TorchLearner
from torch import Tensor, nn


class Coder(nn.Module):
    """Frames `(..., y, x, 1)` to codes `(..., code)`, and back."""

    def __init__(self, space: tuple[int, int], width: int) -> None:
        super().__init__()
        self.space = space
        self.into, self.out = nn.Linear(space[0] * space[1], width), nn.Linear(width, space[0] * space[1])

    def encode(self, frames: Tensor) -> Tensor:
        codes: Tensor = self.into(frames.flatten(-3))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        frames: Tensor = self.out(codes)
        return frames.unflatten(-1, (*self.space, 1))


class Autoencoder(TorchLearner):
    """Learns to give the truth back through its codes; `build` makes a `Coder`."""

    width: int = Field(5, description="how long a code is")

    def objective(
        self,
        network: Any,
        inputs: Any,
        truth: Tensor,
        *,
        step: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        noise: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor] | None:
        made = network.decode(network.encode(truth))
        return made, loss(made, truth)
