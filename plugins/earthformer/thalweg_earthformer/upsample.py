r"""Nearest upsampling and a 3 x 3 convolution, at the cost of a smaller one.

Upsampled by $s$, the nine cells under the kernel are copies of at most four: output cells of one phase (their place
within a coarse cell) see a kernel of 2 x 2 or fewer summed taps. $s^2$ such convolutions at low resolution give what
one gives at high resolution, to rounding, with $((s + 2) / 3 s)^2$ of the multiplications: 4/9 for 2, 25/81 for 3.
Along an axis that is not upsampled nothing is saved.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .shapes import Cells, Images


class Upsample(nn.Module):
    """Each field is resized to (height, width) by nearest neighbour, then convolved; times stay."""

    def __init__(self, channels: int, out: int, *, folded: bool = True) -> None:
        super().__init__()
        self.folded = folded
        self.conv = nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, x: Cells, size: tuple[int, int]) -> Cells:
        batch, time, height, width, _ = x.shape
        images = x.flatten(0, 1).permute(0, 3, 1, 2)
        whole = size[0] % height == 0 and size[1] % width == 0
        if self.folded and whole and size != (height, width):
            out = upsampled_convolution(
                images, self.conv.weight, self.conv.bias, scale=(size[0] // height, size[1] // width)
            )
        else:
            if size != (height, width):
                images = functional.interpolate(images, size, mode="nearest")
            out = self.conv(images).permute(0, 2, 3, 1)
        return out.reshape(batch, time, *size, -1)


def upsampled_convolution(x: Images, weight: Tensor, bias: Tensor | None, *, scale: tuple[int, int]) -> Tensor:
    """`conv2d(upsample(x, scale), weight, bias, padding=1)` as (image, height, width, channel), by phases."""
    height, width = x.shape[2:]
    done: dict[tuple[int, ...], Tensor] = {}
    rows = []
    for down in _phases(scale[0]):
        row = []
        for across in _phases(scale[1]):
            kind = (*down, -1, *across)
            if kind not in done:
                done[kind] = _phase(x, weight, bias, down=down, across=across)
            found = done[kind]
            top, left = _start(down), _start(across)
            row.append(found[:, :, top : top + height, left : left + width].permute(0, 2, 3, 1))
        rows.append(torch.stack(row, 3) if len(row) > 1 else row[0][:, :, :, None])
    out = torch.stack(rows, 2) if len(rows) > 1 else rows[0][:, :, None]
    return out.reshape(x.shape[0], height * scale[0], width * scale[1], -1)


def _phases(scale: int) -> list[tuple[int, int, int]]:
    """For each phase along an axis, the coarse cells, relative to its own, under the three taps of the kernel."""
    return [((i - 1) // scale, i // scale, (i + 1) // scale) for i in range(scale)]


def _start(phase: tuple[int, int, int]) -> int:
    # Two taps, padded by one on both sides, give one cell too many: the first belongs to the other phase.
    return 1 if phase[0] == 0 and phase[2] == 1 else 0


def _phase(
    x: Images, weight: Tensor, bias: Tensor | None, *, down: tuple[int, int, int], across: tuple[int, int, int]
) -> Tensor:
    kernel = _summed(_summed(weight, down, dim=2), across, dim=3)
    padding = [0 if size == 1 else 1 for size in kernel.shape[2:]]
    return functional.conv2d(x, kernel, bias, padding=padding)


def _summed(weight: Tensor, phase: tuple[int, int, int], *, dim: int) -> Tensor:
    taps = weight.unbind(dim)
    first = phase[0]
    cells = [[tap for tap, cell in zip(taps, phase, strict=True) if cell == at] for at in range(first, phase[2] + 1)]
    return torch.stack([torch.stack(each).sum(0) if len(each) > 1 else each[0] for each in cells], dim)
