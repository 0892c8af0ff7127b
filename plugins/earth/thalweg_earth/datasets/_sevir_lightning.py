"""Flashes of the Geostationary Lightning Mapper, counted on SEVIR's grid and frames."""

from __future__ import annotations

from typing import Any

import numpy as np

GRID = (48, 48)
FRAMES = 49
STEP = 300.0
"""Seconds between frames; the first is 120 min before the event."""


def count_flashes(flashes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Counts `(y, x, frame)` of a table `(flash, [seconds from the event, latitude, longitude, x, y])`, in cells.

    Frame k holds the flashes from its own time to the next frame's; the first also what was before, and the last what
    comes after, as published. Flashes outside the grid are left out.
    """
    seconds, x, y = flashes[:, 0], np.floor(flashes[:, 3]), np.floor(flashes[:, 4])
    height, width = GRID
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    frame = np.floor(seconds[inside] / STEP) + FRAMES // 2
    cell = (
        y[inside].astype(np.int64),
        x[inside].astype(np.int64),
        np.clip(frame, 0, FRAMES - 1).astype(np.int64),
    )
    counts = np.zeros((*GRID, FRAMES), np.int32)
    np.add.at(counts, cell, 1)
    return counts
