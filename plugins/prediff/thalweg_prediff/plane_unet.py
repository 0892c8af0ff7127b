"""A small U-Net over the plane, told a level and a vector: for residuals of forecasts on a processor."""

from __future__ import annotations

import torch
from thalweg import OptionError
from torch import Tensor, nn

from .noise_level import NoiseLevel


class Told(nn.Module):
    """Two normalised convolutions added to their input, scaled and shifted by what they are told."""

    def __init__(self, channels: int, out: int, *, told: int, groups: int = 8) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(_groups(channels, groups), channels), nn.SiLU())
        self.one = nn.Conv2d(channels, out, 3, padding=1)
        self.norm = nn.GroupNorm(_groups(out, groups), out, affine=False)
        self.say = nn.Linear(told, 2 * out)
        self.two = nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)
        nn.init.zeros_(self.two.weight)
        nn.init.zeros_(self.two.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.say(told)[..., None, None].chunk(2, dim=1)
        hidden = self.norm(self.one(self.first(x))) * (1.0 + scale) + shift
        return self.skip(x) + self.two(nn.functional.silu(hidden))  # type: ignore[no-any-return]


class PlaneUNet(nn.Module):
    """Fields (sample, channel, y, x) to `out` channels, at a level (sample,), with a vector (sample, `vector`) if any.

    Fields are folded by `fold` before and unfolded after: as many times fewer cells, with their neighbours as channels.
    Raises `OptionError` for fields that cannot be halved so often.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        *,
        units: tuple[int, ...] = (32, 64, 96),
        blocks: int = 2,
        fold: int = 2,
        vector: int = 0,
    ) -> None:
        super().__init__()
        self.fold, self.halvings = fold, len(units) - 1
        self.level = NoiseLevel(units[0], widening=4)
        told = self.level.out
        self.vector = nn.Linear(vector, told) if vector else None
        self.into = nn.Conv2d(channels * fold**2, units[0], 3, padding=1)
        self.down, self.coarser, self.up, self.finer = (nn.ModuleList() for _ in range(4))
        for number, each in enumerate(units):
            before = units[max(number - 1, 0)]
            self.coarser.append(nn.Conv2d(before, each, 3, stride=2, padding=1) if number else nn.Identity())
            self.down.append(nn.ModuleList(Told(each, each, told=told) for _ in range(blocks)))
        for number in reversed(range(self.halvings)):
            self.finer.append(nn.Conv2d(units[number + 1], units[number], 3, padding=1))
            own = units[number]
            self.up.append(
                nn.ModuleList(Told(2 * own if block == 0 else own, own, told=told) for block in range(blocks))
            )
        self.last = nn.Sequential(nn.GroupNorm(_groups(units[0], 8), units[0]), nn.SiLU())
        self.out = nn.Conv2d(units[0], out * fold**2, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, fields: Tensor, level: Tensor, vector: Tensor | None = None) -> Tensor:
        by = self.fold * 2**self.halvings
        if fields.shape[-2] % by or fields.shape[-1] % by:
            raise OptionError(
                f"fields of {fields.shape[-2]} x {fields.shape[-1]} cells",
                allowed=f"multiples of {by}",
                advice="take fewer levels, or pad or cut the fields in preprocess",
            )
        told = self.level(level)
        if self.vector is not None and vector is not None:
            told = told + self.vector(vector)
        told = nn.functional.silu(told)
        x = self.into(nn.functional.pixel_unshuffle(fields, self.fold).contiguous())
        skips = []
        for coarser, blocks in zip(self.coarser, self.down, strict=True):
            x = coarser(x)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, told)
            skips.append(x)
        skips.pop()
        for finer, blocks in zip(self.finer, self.up, strict=True):
            x = torch.cat([finer(nn.functional.interpolate(x, scale_factor=2, mode="nearest")), skips.pop()], 1)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, told)
        found: Tensor = nn.functional.pixel_shuffle(self.out(self.last(x)), self.fold)
        return found


def _groups(channels: int, most: int) -> int:
    """The most groups, up to `most`, that divide the channels."""
    return next(each for each in range(min(most, channels), 0, -1) if channels % each == 0)
