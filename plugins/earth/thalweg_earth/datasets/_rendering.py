"""Drawing digits between pixels, and halving a frame as torch's bicubic interpolation does."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def paste(frame: Array, digit: Array, corner: tuple[float, float]) -> None:
    """Draw `digit` with its upper left corner at `corner` (y, x), bilinear; the brighter of the two shows."""
    row, column = int(np.floor(corner[0])), int(np.floor(corner[1]))
    down, right = np.float32(corner[0] - row), np.float32(corner[1] - column)
    height, width = digit.shape
    rows = np.zeros((height + 1, width), np.float32)
    rows[:-1] = (1 - down) * digit
    rows[1:] += down * digit
    drawn = np.zeros((height + 1, width + 1), np.float32)
    drawn[:, :-1] = (1 - right) * rows
    drawn[:, 1:] += right * rows
    top, left = max(row, 0), max(column, 0)
    below, beyond = min(row + height + 1, frame.shape[0]), min(column + width + 1, frame.shape[1])
    if top >= below or left >= beyond:
        return
    part = frame[top:below, left:beyond]
    np.maximum(part, drawn[top - row : below - row, left - column : beyond - column], out=part)


# The cubic convolution kernel with a = -3/4 at distances 3/2 and 1/2: (a/8, 1/2 - a/8).
_OUTER, _INNER = np.float32(-0.09375), np.float32(0.59375)


def halve(frames: Array) -> Array:
    """`(..., y, x)` at half the size: bicubic with a = -3/4 on pixel centres, edges repeated, not antialiased."""
    for axis in (-2, -1):
        padded = np.pad(np.moveaxis(frames, axis, -1), [(0, 0)] * (frames.ndim - 1) + [(1, 1)], mode="edge")
        count = frames.shape[axis]
        taps = [padded[..., start : start + count : 2] for start in range(4)]
        halved = _OUTER * (taps[0] + taps[3]) + _INNER * (taps[1] + taps[2])
        frames = np.moveaxis(halved, -1, axis)
    return frames
