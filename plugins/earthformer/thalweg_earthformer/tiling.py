"""Inference on fields larger than those a module was made for: tile by tile, blended where tiles overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from thalweg import OptionError
from torch import Tensor

from .shapes import Cells


@torch.no_grad()
def tiled(
    module: Callable[[Cells], Cells], x: Cells, *, tile: tuple[int, int], overlap: tuple[int, int] | int = 0
) -> Cells:
    """`module(x)` from tiles of (height, width) cells that overlap by at least `overlap`, one tile at a time.

    Tiles weigh less towards their edges, linearly over the overlap; weights sum to 1 everywhere. A module whose output
    at a cell depends on that cell only gives what it gives untiled. Raises `OptionError` for tiles that do not fit.
    """
    overlap = (overlap, overlap) if isinstance(overlap, int) else overlap
    for name, cells, size, common in zip(("height", "width"), x.shape[2:4], tile, overlap, strict=True):
        if not (0 < size <= cells and 0 <= common < size):
            raise OptionError(
                f"tiles of {size!r} cells that overlap by {common!r}, on a field of {name} {cells}",
                allowed=f"tiles of 1 to {cells} cells, overlaps smaller than the tile",
                advice="give the size that the module was made for, and an overlap of a quarter of it",
            )
    total: Tensor | None = None
    for rows, down in _tiles(x.shape[2], tile[0], overlap[0]):
        for columns, across in _tiles(x.shape[3], tile[1], overlap[1]):
            found = module(x[:, :, rows, columns])
            if total is None:
                total = found.new_zeros(*found.shape[:2], *x.shape[2:4], found.shape[-1])
            weights = (down[:, None] * across).to(found)[..., None]
            total[:, :, rows, columns] += weights * found
    assert total is not None
    return total


def _tiles(cells: int, tile: int, overlap: int) -> Iterator[tuple[slice, Tensor]]:
    """Where tiles lie along an axis, evenly, and the weights of their cells, float64."""
    count = 1 if cells == tile else -(-(cells - overlap) // (tile - overlap))
    starts = [round(number * (cells - tile) / max(count - 1, 1)) for number in range(count)]
    ramps = []
    for number, start in enumerate(starts):
        weight = torch.ones(tile, dtype=torch.float64)
        before = starts[number - 1] + tile - start if number else 0
        after = start + tile - starts[number + 1] if number + 1 < count else 0
        place = torch.arange(tile, dtype=torch.float64)
        if before:
            weight = weight.minimum((place + 1) / (before + 1))
        if after:
            weight = weight.minimum((tile - place) / (after + 1))
        ramps.append(weight)
    total = torch.zeros(cells, dtype=torch.float64)
    for start, weight in zip(starts, ramps, strict=True):
        total[start : start + tile] += weight
    for start, weight in zip(starts, ramps, strict=True):
        yield slice(start, start + tile), weight / total[start : start + tile]
