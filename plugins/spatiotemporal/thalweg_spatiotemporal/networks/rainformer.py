"""Rainformer: windows of attention for the wide view beside convolutions for the near one, gated together, in a U.

A stage turns an image x into z g + r l:

    g    two transformer blocks on windows of `window` cells, the second's shifted by half a window, of x
    l    two convolutions of x, weighted by channel and by place
    z, r = sigma (LayerNorm (W * [g, l]))
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class Rainformer(nn.Module):
    """All input frames are the channels of one image, all target frames those of another, of one `size`.

    The stages down shrink by `factors` and the first has `width` channels, each following one twice those before; as
    many stages go up, beside what the way down had at that size. `size` must be a multiple of the product of the
    factors and the windows. `unused` also holds, frozen, the convolutions and norms that the published code declares in
    every stage and never applies, and its masks, so that sizes can be compared.
    """

    def __init__(
        self,
        *,
        frames: tuple[int, int],
        size: tuple[int, int],
        channels: tuple[int, int] = (1, 1),
        width: int = 96,
        factors: Sequence[int] = (4, 2, 2, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        head: int = 32,
        window: int = 9,
        unused: bool = False,
    ) -> None:
        super().__init__()
        self.steps = frames[1]
        count = len(factors)
        widths = [width * 2**number for number in range(count)]
        sizes = [(size[0] // every, size[1] // every) for every in (1, *accumulate(factors, mul))]

        def stage(number: int, channels: int, hidden: int, at: tuple[int, int]) -> _Stage:
            return _Stage(
                channels, size=at, heads=heads[number], head=head, hidden=hidden, window=window, unused=unused
            )

        before = [frames[0] * channels[0], *widths]
        self.merge = nn.ModuleList(
            nn.Conv2d(one, other, factor, stride=factor)
            for one, other, factor in zip(before, widths, factors, strict=False)
        )
        self.down = nn.ModuleList(
            stage(number, each, 4 * each, sizes[number + 1]) for number, each in enumerate(widths)
        )
        made = frames[1] * channels[1]
        after = [made, *widths]
        # Above the deepest stage, an image comes with its twin from the way down: twice the channels.
        above = [widths[-1], *(2 * each for each in reversed(widths[:-1]))]
        self.expand = nn.ModuleList(
            nn.Conv2d(above[count - 1 - number] // factors[number] ** 2, after[number], 1)
            for number in reversed(range(count))
        )
        self.up = nn.ModuleList(
            stage(number, 2 * widths[number - 1], 4 * widths[number - 1], sizes[number])
            if number
            else stage(0, made, 4 * made, sizes[0])
            for number in reversed(range(count))
        )
        self.factors = tuple(factors)

    def forward(self, inputs: Float[Tensor, "sample time y x channel"]) -> Float[Tensor, "sample lead y x channel"]:
        image = inputs.permute(0, 1, 4, 2, 3).flatten(1, 2).contiguous()
        seen: list[Tensor] = []
        for merge, stage in zip(self.merge, self.down, strict=True):
            image = stage(merge(image))
            seen.append(image)
        seen.pop()
        for expand, stage, factor in zip(self.expand, self.up, reversed(self.factors), strict=True):
            image = expand(functional.pixel_shuffle(image, factor))
            image = stage(torch.cat([image, seen.pop()], dim=1) if seen else image)
        frames: Tensor = image.unflatten(1, (self.steps, -1)).permute(0, 1, 3, 4, 2)
        return frames


class _Stage(nn.Module):
    def __init__(
        self, width: int, *, size: tuple[int, int], heads: int, head: int, hidden: int, window: int, unused: bool
    ) -> None:
        super().__init__()
        self.wide = nn.Sequential(
            *(
                _Block(width, size=size, heads=heads, head=head, hidden=hidden, window=window, shift=shift)
                for shift in (0, window // 2)
            )
        )
        self.near = nn.Sequential(*_convolution(width), *_convolution(width), _ByChannel(width), _ByPlace())
        self.gates = nn.Sequential(nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.LayerNorm([2 * width, *size]))
        if unused:
            idle: list[nn.Module] = []
            for inputs in (width, 2 * width):
                idle += [nn.Conv2d(inputs, width, 3), nn.LayerNorm([width, *size])]
            self.unused = nn.ModuleList(idle).requires_grad_(False)
            self.masks = nn.Parameter(torch.zeros(2, window**2, window**2), requires_grad=False)

    def forward(self, image: Tensor) -> Tensor:
        wide = self.wide(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()
        near = self.near(image)
        keep, reset = self.gates(torch.cat([wide, near], dim=1)).sigmoid().chunk(2, dim=1)
        gated: Tensor = keep * wide + reset * near
        return gated


class _Block(nn.Module):
    """A transformer block on `(sample, y, x, channel)`."""

    def __init__(
        self, width: int, *, size: tuple[int, int], heads: int, head: int, hidden: int, window: int, shift: int
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attend = _WindowAttention(width, size=size, heads=heads, head=head, window=window, shift=shift)
        self.feed = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, image: Tensor) -> Tensor:
        image = image + self.attend(self.norm(image))
        fed: Tensor = image + self.feed(image)
        return fed


class _WindowAttention(nn.Module):
    """Attention within windows, one table of relative positions for all heads; what it finds is weighted by channel."""

    def __init__(self, width: int, *, size: tuple[int, int], heads: int, head: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.project = nn.Linear(width, 3 * heads * head, bias=False)
        self.positions = nn.Parameter(torch.empty(2 * window - 1, 2 * window - 1))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.join = nn.Linear(heads * head, width)
        self.average, self.maximum = _squeeze(width, least=10), _squeeze(width, least=10)
        cells = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        self.register_buffer("offsets", cells[None] - cells[:, None] + window - 1, persistent=False)
        self.register_buffer("allowed", _unbroken(size, window, shift) if shift else None, persistent=False)
        self.offsets: Tensor
        self.allowed: Tensor | None

    def forward(self, image: Tensor) -> Tensor:
        rolled = image.roll((-self.shift, -self.shift), (1, 2)) if self.shift else image
        windows = _windows(self.project(rolled), self.window).unflatten(-1, (3, self.heads, -1))
        query, key, value = windows.permute(3, 0, 4, 1, 2, 5)
        bias = self.positions[self.offsets[..., 0], self.offsets[..., 1]]
        if self.allowed is not None:
            bias = torch.where(self.allowed, bias, -torch.inf)
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        joined = self.join(found.permute(0, 2, 3, 1, 4).flatten(3))
        made = _image(joined, self.window, rows=image.shape[1], columns=image.shape[2])
        made = made.roll((self.shift, self.shift), (1, 2)) if self.shift else made
        weight = self.average(made.mean((1, 2))) + self.maximum(made.amax((1, 2)))
        weighted: Tensor = made * weight.sigmoid()[:, None, None]
        return weighted


class _ByChannel(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = _squeeze(width, least=1)

    def forward(self, image: Tensor) -> Tensor:
        weight = self.squeeze(image.mean((2, 3))) + self.squeeze(image.amax((2, 3)))
        weighted: Tensor = image * weight.sigmoid()[..., None, None]
        return weighted


class _ByPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(2, 1, 3, padding=1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, image: Tensor) -> Tensor:
        weighted: Tensor = image * self.weigh(torch.cat([image.mean(1, keepdim=True), image.amax(1, keepdim=True)], 1))
        return weighted


def _squeeze(width: int, *, least: int) -> nn.Sequential:
    """To a sixteenth and back; not narrowed where that would be fewer than `least`."""
    middle = width // 16 if width // 16 >= least else width
    return nn.Sequential(nn.Linear(width, middle), nn.ReLU(), nn.Linear(middle, width))


def _convolution(width: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()


def _windows(image: Tensor, side: int) -> Tensor:
    """`(sample, y, x, channel) -> (sample, window, cell, channel)`."""
    cut: Tensor = image.unflatten(2, (-1, side)).unflatten(1, (-1, side))
    return cut.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2)


def _image(windows: Tensor, side: int, *, rows: int, columns: int) -> Tensor:
    cut: Tensor = windows.unflatten(2, (side, side)).unflatten(1, (rows // side, columns // side))
    return cut.permute(0, 1, 3, 2, 4, 5).reshape(windows.shape[0], rows, columns, -1)


def _unbroken(size: tuple[int, int], side: int, shift: int) -> Tensor:
    """Which pairs of cells `(window, cell, cell)` of the rolled image were not brought together from opposite edges."""
    rows, columns = (torch.arange(each) >= each - shift for each in size)
    part = _windows((2 * rows[:, None] + columns).long()[None, ..., None], side)[0, ..., 0]
    return part[:, :, None] == part[:, None]
