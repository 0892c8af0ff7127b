"""The alignment network: what a quantity of the clean field will be, seen from noisy latents."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from thalweg_earthformer.patch_merge import PatchMerging
from thalweg_earthformer.position import PositionEmbedding
from thalweg_earthformer.shapes import Cells
from thalweg_earthformer.stack import SelfStack
from torch import Tensor, nn

from .architecture import Levels, Shape
from .initialise import initialise
from .noise_level import NoiseLevel
from .residual import TimeEmbedResBlock, groups


class Alignment(nn.Module):
    """Noisy latents (sample, time, height, width, channel) and their level to (sample, time, out).

    It sees neither the context nor the truth. Parameters are named as in the published checkpoints.
    """

    def __init__(self, shape: Shape, levels: Levels, *, out: int = 1) -> None:
        super().__init__()
        self.levels = levels
        units, layers = levels.level_units, levels.layers
        dropout = layers.dropout.projection
        time, height, width, channels = shape
        shapes = levels.shapes(time, height, width)
        self.first_proj = TimeEmbedResBlock(channels, units[0], embedding=None, dropout=dropout)
        self.pos_embed = PositionEmbedding(units[0], shape=(time, height, width))
        self.time_embed = NoiseLevel(units[0], widening=levels.widening)
        self.downsample_layers = nn.ModuleList(
            PatchMerging(units[level], units[level + 1], block=(1, 2, 2), padding=layers.padding)
            for level in range(len(units) - 1)
        )
        self.down_self_blocks = nn.ModuleList(
            nn.ModuleList(
                SelfStack(units[level], pattern=levels.patterns[level], shape=each, layers=layers)
                for _ in range(levels.depth[level])
            )
            for level, each in enumerate(shapes)
        )
        self.down_time_embed_blocks = nn.ModuleList(
            TimeEmbedResBlock(each, each, embedding=self.time_embed.out, dropout=dropout) for each in units
        )
        cells = shapes[-1][1] * shapes[-1][2]
        self.out = nn.Sequential(
            nn.GroupNorm(groups(units[-1]), units[-1]),
            nn.SiLU(),
            AttentionPool(units[-1], cells=cells, heads=layers.heads, out=out),
        )
        initialise(self)

    def forward(
        self, noisy: Cells, level: Int[Tensor, " sample"] | Float[Tensor, " sample"]
    ) -> Float[Tensor, "sample time out"]:
        x = self.pos_embed(self.first_proj(noisy))
        embedding = self.time_embed(level)
        for number, stacks in enumerate(self.down_self_blocks):
            if number:
                x = self.downsample_layers[number - 1](x)
            for stack in stacks:  # type: ignore[attr-defined]
                x, _ = stack(self.down_time_embed_blocks[number](x, embedding))
        samples, time = x.shape[:2]
        pooled: Tensor = self.out(x.flatten(2, 3).flatten(0, 1).transpose(1, 2).contiguous())
        found: Tensor = pooled.unflatten(0, (samples, time))
        return found


class AttentionPool(nn.Module):
    """What the mean cell sees of all cells: (frame, channel, cell) to (frame, out)."""

    def __init__(self, channels: int, *, cells: int, heads: int, out: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.randn(channels, cells + 1) / channels**0.5)
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, out, 1)

    def forward(self, x: Float[Tensor, "frame channel cell"]) -> Float[Tensor, "frame out"]:
        x = torch.cat([x.mean(-1, keepdim=True), x], -1) + self.positional_embedding
        query, key, value = (
            each.unflatten(1, (self.heads, -1)).transpose(2, 3) for each in self.qkv_proj(x).chunk(3, dim=1)
        )
        # Only what the first cell, the mean, sees is read out.
        seen = nn.functional.scaled_dot_product_attention(query[:, :, :1], key, value)
        found: Tensor = self.c_proj(seen.transpose(2, 3).flatten(1, 2))[..., 0]
        return found
