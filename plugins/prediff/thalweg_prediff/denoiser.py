"""The denoiser: a U-Net of cuboid attention over context and target frames together."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from thalweg_earthformer.patch_merge import PatchMerging
from thalweg_earthformer.position import PositionEmbedding
from thalweg_earthformer.recompute import recomputed
from thalweg_earthformer.shapes import Cells
from thalweg_earthformer.stack import SelfStack
from thalweg_earthformer.upsample import Upsample
from torch import Tensor, nn

from .architecture import Levels, Shape
from .initialise import initialise
from .noise_level import NoiseLevel
from .residual import TimeEmbedResBlock


class Denoiser(nn.Module):
    """What is to be known of noisy frames: their noise, or what an objective asks for.

    `context` frames come first; a channel says which are which: 1 context, 0 noisy. One residual block a level and
    direction is used by all its stacks (as published). Parameters are named as in the published checkpoints.
    """

    def __init__(self, context: Shape, target: Shape, levels: Levels) -> None:
        super().__init__()
        self.context, self.target, self.levels = context, target, levels
        units, layers = levels.level_units, levels.layers
        dropout, count = layers.dropout.projection, len(units)
        time, height, width, channels = context[0] + target[0], *target[1:]
        shapes = levels.shapes(time, height, width)
        self.first_proj = TimeEmbedResBlock(channels + 1, units[0], embedding=None, dropout=dropout)
        self.pos_embed = PositionEmbedding(units[0], shape=(time, height, width))
        self.time_embed = NoiseLevel(units[0], widening=levels.widening)
        self.downsample_layers = nn.ModuleList(
            PatchMerging(units[level], units[level + 1], block=(1, 2, 2), padding=layers.padding)
            for level in range(count - 1)
        )
        self.upsample_layers = nn.ModuleList(Upsample(units[level + 1], units[level]) for level in range(count - 1))
        self.down_self_blocks, self.up_self_blocks = (
            nn.ModuleList(
                nn.ModuleList(
                    SelfStack(units[level], pattern=levels.patterns[level], shape=shape, layers=layers)
                    for _ in range(levels.depth[level])
                )
                for level, shape in enumerate(shapes)
            )
            for _ in range(2)
        )
        self.down_time_embed_blocks, self.up_time_embed_blocks = (
            nn.ModuleList(
                TimeEmbedResBlock(each, each, embedding=self.time_embed.out, dropout=dropout) for each in units
            )
            for _ in range(2)
        )
        self.final_proj = nn.Linear(units[0], channels)
        initialise(self)

    def forward(self, noisy: Cells, level: Int[Tensor, " sample"] | Float[Tensor, " sample"], context: Cells) -> Cells:
        """Noisy frames (sample, time, height, width, channel), their level, and the context frames before them."""
        frames = torch.cat([context, noisy], 1)
        told = torch.ones_like(frames[..., :1])
        told[:, context.shape[1] :] = 0.0
        x = self.pos_embed(self.first_proj(torch.cat([frames, told], -1)))
        embedding = self.time_embed(level)
        skips = []
        for number, stacks in enumerate(self.down_self_blocks):
            if number:
                x = self.downsample_layers[number - 1](x)
            x = self._level(x, embedding, self.down_time_embed_blocks[number], stacks)
            skips.append(x)
        for number in reversed(range(len(skips))):
            if number < len(skips) - 1:
                x = self.upsample_layers[number](x, tuple(skips[number].shape[2:4])) + skips[number]
            x = self._level(x, embedding, self.up_time_embed_blocks[number], self.up_self_blocks[number])
        found: Tensor = self.final_proj(x[:, context.shape[1] :])
        return found

    def _level(self, x: Cells, embedding: Tensor, block: nn.Module, stacks: nn.Module) -> Cells:
        for stack in stacks:  # type: ignore[attr-defined]
            x = recomputed(block, x, embedding, when=self.levels.checkpoint)
            x, _ = recomputed(stack, x, when=self.levels.checkpoint)
        return x
