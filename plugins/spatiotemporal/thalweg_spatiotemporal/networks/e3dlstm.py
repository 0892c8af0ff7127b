r"""E3D-LSTM: convolutions over a window of frames, and a memory that recalls the last `tau` states by attention.

Of layer $l$, with LN over time and space of each channel, $r$ the query and $c_{t-\tau:t-1}$ what is remembered:

    r, i, g = sigma, sigma, tanh (LN(W_x * x_t + W_h * h_{t-1}))
    c_t = i g + LayerNorm(c_{t-1} + softmax(r c_{t-tau:t-1}^T) c_{t-tau:t-1})
    i', g', f' = sigma, tanh, sigma (LN(W'_x * x_t + W_m * m_t^{l-1}))
    m_t^l = i' g' + f' m_t^{l-1}
    o = sigma (LN(W_o * [x_t, h_{t-1}, c_t, m_t]))
    h_t = o tanh(W_1 * [c_t, m_t])
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ._recurrent import Memory, Recurrent

Recall = Literal["states", "positions"]


def recall(
    query: Float[Tensor, "sample channel time row column"],
    remembered: Float[Tensor, "tau sample channel time row column"],
    *,
    over: Recall,
) -> Float[Tensor, "sample channel time row column"]:
    r"""What the query finds among the remembered states: one weight per state, or one per state and position.

    Over positions it is the publication's: $(T H W) \times (\tau T H W)$ weights, without a scale. Over states the
    product runs over channels and positions and is divided by $\sqrt{T H W}$.
    """
    if over == "states":
        weights = torch.einsum("nctyx,knctyx->nk", query, remembered) / query[0, 0].numel() ** 0.5
        return torch.einsum("nk,knctyx->nctyx", weights.softmax(dim=1), remembered)
    keys = remembered.permute(1, 0, 3, 4, 5, 2).flatten(1, 4)
    found = functional.scaled_dot_product_attention(query.flatten(2).transpose(1, 2), keys, keys, scale=1.0)
    return found.transpose(1, 2).reshape(query.shape)


class Eidetic3DLSTMCell(nn.Module):
    """One step of one layer on states `(sample, hidden, window, row, column)`."""

    def __init__(
        self, inputs: int, hidden: int, *, size: tuple[int, int, int], kernel: tuple[int, int, int], over: Recall
    ) -> None:
        super().__init__()
        self.hidden, self.over = hidden, over
        self.of_input = _Convolution(inputs, 7 * hidden, kernel, bias=True)
        self.of_hidden = _Convolution(hidden, 4 * hidden, kernel, bias=False)
        self.of_memory = _Convolution(hidden, 3 * hidden, kernel, bias=False)
        self.of_both = _Convolution(2 * hidden, hidden, kernel, bias=False)
        self.mix = nn.Conv3d(2 * hidden, hidden, 1)
        self.norm = nn.LayerNorm([hidden, *size])

    def forward(
        self,
        volume: Float[Tensor, "sample inputs time row column"],
        hidden: Float[Tensor, "sample hidden time row column"],
        cells: Float[Tensor, "tau sample hidden time row column"],
        memory: Float[Tensor, "sample hidden time row column"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The hidden state, the new cell state, and the zigzagging memory; the last of `cells` is the newest."""
        width = self.hidden
        temporal, spatial, out = self.of_input(volume).split([3 * width, 3 * width, width], dim=1)
        temporal_hidden, out_hidden = self.of_hidden(hidden).split([3 * width, width], dim=1)
        query, enter, new = _normal(temporal + temporal_hidden).chunk(3, dim=1)
        found = recall(query.sigmoid(), cells, over=self.over)
        cell = enter.sigmoid() * new.tanh() + self.norm(cells[-1] + found)
        enter, new, keep = _normal(spatial + self.of_memory(memory)).chunk(3, dim=1)
        memory = enter.sigmoid() * new.tanh() + keep.sigmoid() * memory
        both = torch.cat([cell, memory], dim=1)
        out = _normal(out + out_hidden + self.of_both(both)).sigmoid()
        return out * self.mix(both).tanh(), cell, memory


class E3DLSTM(Recurrent):
    """`layers` cells on windows of `window` frames cut into squares of `patch` cells, for fields of one `size`."""

    def __init__(
        self,
        *,
        steps: int,
        size: tuple[int, int],
        channels: int = 1,
        hidden: int = 64,
        layers: int = 4,
        kernel: tuple[int, int, int] = (2, 5, 5),
        tau: int = 2,
        window: int = 2,
        patch: int = 4,
        over: Recall = "states",
    ) -> None:
        super().__init__(steps=steps, patch=patch)
        depth = channels * patch**2
        self.hidden, self.window, self.tau = hidden, window, tau
        volume = (window, -(-size[0] // patch), -(-size[1] // patch))
        self.cells = nn.ModuleList(
            Eidetic3DLSTMCell(hidden if number else depth, hidden, size=volume, kernel=kernel, over=over)
            for number in range(layers)
        )
        self.out = nn.Conv3d(hidden, depth, (window, 1, 1), bias=False)

    def begin(self, frame: Float[Tensor, "sample depth row column"]) -> Memory:
        zeros = frame.new_zeros(frame.shape[0], self.hidden, self.window, *frame.shape[2:])
        none = zeros.expand(self.tau, *zeros.shape)
        return (torch.zeros_like(frame),) * (self.window - 1) + (zeros, none) * len(self.cells) + (zeros,)

    def step(
        self, frame: Float[Tensor, "sample depth row column"], memory: Memory
    ) -> tuple[Float[Tensor, "sample depth row column"], Memory]:
        before, (*states, zigzag) = memory[: self.window - 1], memory[self.window - 1 :]
        frames = (*before, frame)
        volume, after = torch.stack(frames, dim=2), []
        for number, layer in enumerate(self.cells):
            hidden, cells = states[2 * number : 2 * number + 2]
            volume, cell, zigzag = layer(volume, hidden, cells, zigzag)
            after += [volume, torch.cat([cells[1:], cell[None]])]
        return self.out(volume).squeeze(2), (*frames[1:], *after, zigzag)


class _Convolution(nn.Conv3d):
    """Of the same size: padded by zeros around in space, before in time."""

    def __init__(self, inputs: int, width: int, kernel: tuple[int, int, int], *, bias: bool) -> None:
        super().__init__(inputs, width, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2), bias=bias)

    def forward(self, volume: Tensor) -> Tensor:
        return super().forward(functional.pad(volume, (0, 0, 0, 0, self.kernel_size[0] - 1, 0)))


def _normal(volume: Tensor) -> Tensor:
    return functional.layer_norm(volume, volume.shape[2:])
