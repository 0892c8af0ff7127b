"""UNet: time as channels, one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ._frames import pad

Norm = Callable[[int], nn.Module]
GROUPS = 8
"""Groups of channels whose mean and variance a GroupNorm takes, at most."""


class UNet(nn.Module):
    """All input frames are the channels of one image, all target frames those of another.

    Down: two convolutions and a maximum over squares of 2 cells per width, then `centre`. Up: a transposed convolution,
    beside what the way down had at that size, then two convolutions. Fields are continued by their edge to a multiple
    of `2 ** len(widths)` and cut again.
    """

    def __init__(
        self,
        *,
        frames: tuple[int, int],
        channels: tuple[int, int] = (1, 1),
        widths: Sequence[int] = (32, 64, 128, 256),
        centre: int = 1024,
        norm: Literal["batch", "group"] = "batch",
    ) -> None:
        super().__init__()
        kind = nn.BatchNorm2d if norm == "batch" else _of_groups
        self.steps, self.multiple = frames[1], 2 ** len(widths)
        before = [frames[0] * channels[0], *widths]
        self.down = nn.ModuleList(_twice(one, other, norm=kind) for one, other in zip(before, widths, strict=False))
        self.centre = _twice(widths[-1], centre, norm=kind)
        above = [*widths[1:], centre]
        self.up = nn.ModuleList(
            _Up(one, other, norm=kind) for one, other in zip(reversed(above), reversed(widths), strict=True)
        )
        self.out = nn.Conv2d(widths[0], frames[1] * channels[1], 1)

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        return self.out

    def forward(self, inputs: Float[Tensor, "sample time y x channel"]) -> Float[Tensor, "sample lead y x channel"]:
        rows, columns = inputs.shape[2:4]
        image = pad(inputs.permute(0, 1, 4, 2, 3).flatten(1, 2).contiguous(), self.multiple)
        seen = []
        for block in self.down:
            image = block(image)
            seen.append(image)
            image = functional.max_pool2d(image, 2)
        image = self.centre(image)
        for rise, beside in zip(self.up, reversed(seen), strict=True):
            image = rise(image, beside)
        made = self.out(image)[..., :rows, :columns]
        frames: Tensor = made.unflatten(1, (self.steps, -1)).permute(0, 1, 3, 4, 2)
        return frames


class _Up(nn.Module):
    def __init__(self, inputs: int, width: int, *, norm: Norm) -> None:
        super().__init__()
        self.rise = nn.ConvTranspose2d(inputs, width, 2, stride=2)
        self.join = nn.Sequential(norm(2 * width), nn.ReLU())
        self.convolve = _twice(2 * width, width, norm=norm)

    def forward(self, image: Tensor, beside: Tensor) -> Tensor:
        made: Tensor = self.convolve(self.join(torch.cat([beside, self.rise(image)], dim=1)))
        return made


def _of_groups(width: int) -> nn.Module:
    return nn.GroupNorm(gcd(GROUPS, width), width)


def _twice(inputs: int, width: int, *, norm: Norm) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, width):
        layers += [nn.Conv2d(channels, width, 3, padding=1), norm(width), nn.ReLU()]
    return nn.Sequential(*layers)
