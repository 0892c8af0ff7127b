"""What the recurrent networks share: frame by frame over the inputs, then on from their own frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ._frames import roll, unroll

Memory = tuple[Tensor, ...]


class Forcing(NamedTuple):
    """What a recurrent network is shown of the truth while it learns (scheduled sampling, teacher forcing).

    Where `shown[n, t]`, frame `t` of the truth of sample `n` is the input of the step after it, not the network's own.
    """

    truth: Float[Tensor, "sample time y x channel"]
    shown: Bool[Tensor, "sample time-1"]


class Recurrent(nn.Module, ABC):
    """A network that makes the next frame from the present one and its memory.

    Called with the inputs only, it gives the `steps` frames after them. Called with a `Forcing` too, it gives every
    frame after the first of inputs and truth, `(sample, inputs + steps - 1, y, x, channel)`: the next frame is learned
    from all of them.
    """

    out: nn.Module
    """The last layer, which makes a frame."""

    def __init__(self, *, steps: int, patch: int) -> None:
        super().__init__()
        self.steps, self.patch = steps, patch
        self.from_last = False
        """Whether a step makes the difference of the next frame from the present one."""

    @abstractmethod
    def begin(self, frame: Float[Tensor, "sample depth row column"]) -> Memory:
        """The memory before the first frame."""

    @abstractmethod
    def step(
        self, frame: Float[Tensor, "sample depth row column"], memory: Memory
    ) -> tuple[Float[Tensor, "sample depth row column"], Memory]:
        """The next frame (or its difference, `from_last`), and the memory after this one."""

    def forward(
        self, inputs: Float[Tensor, "sample time y x channel"], forcing: Forcing | None = None
    ) -> Float[Tensor, "sample lead y x channel"]:
        rows, columns = inputs.shape[2:4]
        observed = unroll(inputs, self.patch)
        last = len(observed) - 1
        truth = None if forcing is None else unroll(forcing.truth, self.patch)
        memory = self.begin(observed[0])
        made: list[Tensor] = []
        for number in range(last + self.steps):
            if number <= last:
                frame = observed[number]
            elif truth is None or forcing is None:
                frame = made[-1]
            else:
                at = number - last - 1
                frame = torch.where(forcing.shown[:, at, None, None, None], truth[at], made[-1])
            following, memory = self.step(frame, memory)
            made.append(frame + following if self.from_last else following)
        return roll(torch.stack(made if forcing else made[last:]), self.patch, rows=rows, columns=columns)
