"""Merging neighbouring cells."""

from __future__ import annotations

from functools import partial

from torch import nn

from .cuboids import Padding
from .latest import Latest
from .lean import normalised_linear
from .plans import blocks
from .shapes import Cells, Triple


class PatchMerging(nn.Module):
    """Cells of a block become channels, in the order (time, height, width, channel); normalised, projected, no bias."""

    def __init__(self, channels: int, out: int, *, block: Triple, padding: Padding = "zeros") -> None:
        super().__init__()
        self.block = block
        self._layout = Latest(partial(blocks, block=block, padding=padding))
        merged = block[0] * block[1] * block[2] * channels
        self.reduction = nn.Linear(merged, out, bias=False)
        self.norm = nn.LayerNorm(merged)

    def forward(self, x: Cells) -> Cells:
        layout = self._layout((x.shape[1], x.shape[2], x.shape[3]))
        x = layout.pad(x)
        t, h, w = layout.counts
        b = self.block
        x = x.reshape(x.shape[0], t, b[0], h, b[1], w, b[2], x.shape[-1]).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return normalised_linear(x.flatten(4), self.norm, [self.reduction.weight])[0]
