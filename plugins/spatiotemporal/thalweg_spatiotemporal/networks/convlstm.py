r"""ConvLSTM: a recurrent network whose products with matrices are convolutions.

$i, f, g, o = \sigma, \sigma, \tanh, \sigma\,(W * [x_t, h_{t-1}])$, $c_t = f c_{t-1} + i g$, $h_t = o \tanh c_t$.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._recurrent import Memory, Recurrent


class ConvLSTMCell(nn.Module):
    """One step of one layer."""

    def __init__(self, inputs: int, hidden: int, *, kernel: int, bias: bool = False) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2, bias=bias)

    def forward(
        self,
        plane: Float[Tensor, "sample inputs row column"],
        hidden: Float[Tensor, "sample hidden row column"],
        cell: Float[Tensor, "sample hidden row column"],
    ) -> tuple[Float[Tensor, "sample hidden row column"], Float[Tensor, "sample hidden row column"]]:
        gates = self.gates(torch.cat([plane, hidden], dim=1))
        enter, forget, new, out = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        return out.sigmoid() * cell.tanh(), cell


class ConvLSTM(Recurrent):
    """`layers` cells on squares of `patch` cells, and a convolution of size 1 that reads the next frame.

    `unused` also holds, frozen, the two convolutions per layer that OpenSTL's cell declares and never applies, so
    that sizes can be compared.
    """

    def __init__(
        self,
        *,
        steps: int,
        channels: int = 1,
        hidden: int = 128,
        layers: int = 4,
        kernel: int = 5,
        patch: int = 4,
        unused: bool = False,
    ) -> None:
        super().__init__(steps=steps, patch=patch)
        depth = channels * patch**2
        sizes = [depth, *[hidden] * layers]
        self.hidden = hidden
        self.cells = nn.ModuleList(ConvLSTMCell(one, other, kernel=kernel) for one, other in pairwise(sizes))
        self.out = nn.Conv2d(hidden, depth, 1, bias=False)
        if unused:
            idle = [nn.Conv2d(2 * hidden, hidden, size, bias=False) for size in (kernel, 1) for _ in range(layers)]
            self.unused = nn.ModuleList(idle).requires_grad_(False)

    def begin(self, frame: Float[Tensor, "sample depth row column"]) -> Memory:
        zeros = frame.new_zeros(frame.shape[0], self.hidden, *frame.shape[2:])
        return (zeros,) * (2 * len(self.cells))

    def step(
        self, frame: Float[Tensor, "sample depth row column"], memory: Memory
    ) -> tuple[Float[Tensor, "sample depth row column"], Memory]:
        plane, after = frame, []
        for number, cell in enumerate(self.cells):
            plane, kept = cell(plane, *memory[2 * number : 2 * number + 2])
            after += [plane, kept]
        return self.out(plane), tuple(after)
