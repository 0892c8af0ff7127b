"""Learned embeddings of position."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from .shapes import Cells, Triple

Kind = Literal["t+h+w", "t+hw"]


class PositionEmbedding(nn.Module):
    """Adds an embedding of time and of place, `t+h+w` or `t+hw`; linearly interpolated for other shapes."""

    def __init__(self, channels: int, *, shape: Triple, kind: Kind = "t+h+w") -> None:
        super().__init__()
        self.shape = shape
        self.T_embed = nn.Embedding(shape[0], channels)
        self.H_embed = self.W_embed = self.HW_embed = None
        if kind == "t+hw":
            self.HW_embed = nn.Embedding(shape[1] * shape[2], channels)
        else:
            self.H_embed = nn.Embedding(shape[1], channels)
            self.W_embed = nn.Embedding(shape[2], channels)

    def forward(self, x: Cells) -> Cells:
        return x + self.embedding((x.shape[1], x.shape[2], x.shape[3]))

    def embedding(self, shape: Triple) -> Tensor:
        """(time, height, width, channel)."""
        t, h, w = shape
        time = _along(self.T_embed.weight, t)[:, None, None]
        if self.HW_embed is not None:
            place = self.HW_embed.weight.view(*self.shape[1:], -1)
            if place.shape[:2] != (h, w):
                image = place.permute(2, 0, 1)[None]
                place = functional.interpolate(image, (h, w), mode="bilinear", align_corners=True)[0].permute(1, 2, 0)
            return time + place
        assert self.H_embed is not None and self.W_embed is not None
        return time + _along(self.H_embed.weight, h)[:, None] + _along(self.W_embed.weight, w)


def _along(table: Tensor, cells: int) -> Tensor:
    if len(table) == cells:
        return table
    line = functional.interpolate(table.t()[None], cells, mode="linear", align_corners=True)
    return line[0].t()
