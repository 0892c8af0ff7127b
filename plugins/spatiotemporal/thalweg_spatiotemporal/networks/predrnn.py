r"""PredRNN: beside each layer's own memory, one that zigzags through all layers, up within a step and on to the next.

The spatiotemporal LSTM of layer $l$:

    i, f, g    = sigma, sigma, tanh (W_x * x_t + W_h * h_{t-1}^l)           c_t^l = f c_{t-1}^l + i g
    i', f', g' = sigma, sigma, tanh (W'_x * x_t + W_m * m_t^{l-1})          m_t^l = f' m_t^{l-1} + i' g'
    o = sigma (W_o * [x_t, h_{t-1}^l, c_t^l, m_t^l])                        h_t^l = o tanh(W_1 * [c_t^l, m_t^l])

and $m_t^0 = m_{t-1}^L$. Forget gates begin with a bias of 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._recurrent import Memory, Recurrent


class SpatiotemporalLSTMCell(nn.Module):
    """One step of one layer."""

    def __init__(self, inputs: int, hidden: int, *, kernel: int, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.hidden, self.forget_bias = hidden, forget_bias
        self.of_input = nn.Conv2d(inputs, 7 * hidden, kernel, padding=kernel // 2, bias=False)
        self.of_hidden = nn.Conv2d(hidden, 4 * hidden, kernel, padding=kernel // 2, bias=False)
        self.of_memory = nn.Conv2d(hidden, 3 * hidden, kernel, padding=kernel // 2, bias=False)
        self.of_both = nn.Conv2d(2 * hidden, hidden, kernel, padding=kernel // 2, bias=False)
        self.mix = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def forward(
        self,
        plane: Float[Tensor, "sample inputs row column"],
        hidden: Float[Tensor, "sample hidden row column"],
        cell: Float[Tensor, "sample hidden row column"],
        memory: Float[Tensor, "sample hidden row column"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The hidden state, the layer's memory, and the zigzagging one."""
        width = self.hidden
        temporal, spatial, out = self.of_input(plane).split([3 * width, 3 * width, width], dim=1)
        temporal_hidden, out_hidden = self.of_hidden(hidden).split([3 * width, width], dim=1)
        cell = self._gated(temporal + temporal_hidden, cell)
        memory = self._gated(spatial + self.of_memory(memory), memory)
        both = torch.cat([cell, memory], dim=1)
        out = (out + out_hidden + self.of_both(both)).sigmoid()
        return out * self.mix(both).tanh(), cell, memory

    def _gated(self, gates: Tensor, state: Tensor) -> Tensor:
        enter, forget, new = gates.chunk(3, dim=1)
        return (forget + self.forget_bias).sigmoid() * state + enter.sigmoid() * new.tanh()


class PredRNN(Recurrent):
    """`layers` cells on squares of `patch` cells, and a convolution of size 1 that reads the next frame."""

    def __init__(
        self,
        *,
        steps: int,
        channels: int = 1,
        hidden: int = 128,
        layers: int = 4,
        kernel: int = 5,
        patch: int = 4,
    ) -> None:
        super().__init__(steps=steps, patch=patch)
        depth = channels * patch**2
        self.hidden = hidden
        self.cells = nn.ModuleList(
            SpatiotemporalLSTMCell(hidden if number else depth, hidden, kernel=kernel) for number in range(layers)
        )
        self.out = nn.Conv2d(hidden, depth, 1, bias=False)

    def begin(self, frame: Float[Tensor, "sample depth row column"]) -> Memory:
        zeros = frame.new_zeros(frame.shape[0], self.hidden, *frame.shape[2:])
        return (zeros,) * (2 * len(self.cells) + 1)

    def step(
        self, frame: Float[Tensor, "sample depth row column"], memory: Memory
    ) -> tuple[Float[Tensor, "sample depth row column"], Memory]:
        *states, zigzag = memory
        plane, after = frame, []
        for number, cell in enumerate(self.cells):
            plane, kept, zigzag = cell(plane, *states[2 * number : 2 * number + 2], zigzag)
            after += [plane, kept]
        return self.out(plane), (*after, zigzag)
