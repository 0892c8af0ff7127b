"""Blocks of convolutions on single fields."""

from __future__ import annotations

from typing import Any

import torch
from thalweg.errors import OptionError
from torch import Tensor, nn

from .shapes import Cells


class ConvolutionBlock(nn.Sequential):
    """3 x 3 convolution, group normalisation and leaky ReLU (slope 0.1), several times, field by field."""

    def __init__(self, channels: int, out: int, *, layers: int, groups: int) -> None:
        if out % groups:
            raise OptionError(
                f"a convolution of {out} channels in {groups} groups",
                allowed=f"a multiple of {groups} channels",
                advice="give such a number of channels, or of units",
            )
        parts: list[nn.Module] = []
        for layer in range(layers):
            convolution = nn.Conv2d(out if layer else channels, out, 3, padding=1)
            # In place: the normalisation keeps its input, not its output, which then need not be kept twice.
            parts += [convolution, GroupNorm(groups, out), nn.LeakyReLU(0.1, inplace=True)]
        super().__init__(*parts)

    def forward(self, x: Cells) -> Any:
        images = x.flatten(0, 1).permute(0, 3, 1, 2)
        for part in self:
            images = part(images)
        return images.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


class GroupNorm(nn.GroupNorm):
    """Group normalisation of an input that may need no gradient.

    torch 2.13 on a CPU crashes in the backward pass of such an input if it is small and lies channels last.
    """

    def forward(self, input: Tensor) -> Tensor:
        if torch.is_grad_enabled() and not input.requires_grad:
            input = input.contiguous()
        return super().forward(input)
