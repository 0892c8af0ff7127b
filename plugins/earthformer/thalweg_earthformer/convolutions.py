"""Blocks of convolutions on single fields."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .lean import spares
from .lean_convolution import normalised_activation
from .shapes import Cells

SLOPE = 0.1


class ConvolutionBlock(nn.Sequential):
    """3 x 3 convolution, group normalisation and leaky ReLU (slope 0.1), several times, field by field."""

    def __init__(self, channels: int, out: int, *, layers: int, groups: int) -> None:
        parts: list[nn.Module] = []
        for layer in range(layers):
            convolution = nn.Conv2d(out if layer else channels, out, 3, padding=1)
            parts += [convolution, nn.GroupNorm(groups, out), nn.LeakyReLU(SLOPE)]
        super().__init__(*parts)
        self.layers = layers

    def forward(self, x: Cells) -> Cells:
        images = x.flatten(0, 1).permute(0, 3, 1, 2)
        images = self._sparing(images) if spares(x) and self.layers else self._plain(images)
        cells: Cells = images.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])
        return cells

    def _plain(self, images: Tensor) -> Tensor:
        for part in self:
            if isinstance(part, nn.GroupNorm) and torch.is_grad_enabled() and not images.requires_grad:
                # torch 2.13 on a CPU crashes in the backward pass of a small input that lies channels last.
                images = images.contiguous()
            # In place: the normalisation keeps its input, not its output.
            images = functional.leaky_relu_(images, SLOPE) if isinstance(part, nn.LeakyReLU) else part(images)
        return images

    def _sparing(self, images: Tensor) -> Tensor:
        images = self[0](images)
        for place in range(1, len(self), 3):
            norm, following = self[place], self[place + 2] if place + 2 < len(self) else None
            assert isinstance(norm, nn.GroupNorm)
            images = normalised_activation(images, norm, slope=SLOPE, following=following)
        return images
