"""Fields turned and mirrored, each sample its own way: samples that a small training period lacks."""

from __future__ import annotations

import torch
from torch import Tensor

WAYS = 3
"""Numbers between 0 and 1 that say how a sample is turned: mirrored along rows, along columns, rows for columns."""


def turned(fields: Tensor, ways: Tensor) -> Tensor:
    """Fields (sample, ..., row, column), by `ways` (sample, 3); rows and columns change places where as many."""
    down, across, swapped = _chosen(fields, ways)
    fields = torch.where(down, fields.flip(-2), fields)
    fields = torch.where(across, fields.flip(-1), fields)
    return torch.where(swapped, fields.transpose(-1, -2), fields) if _square(fields) else fields


def turned_back(fields: Tensor, ways: Tensor) -> Tensor:
    """The inverse."""
    down, across, swapped = _chosen(fields, ways)
    if _square(fields):
        fields = torch.where(swapped, fields.transpose(-1, -2), fields)
    fields = torch.where(across, fields.flip(-1), fields)
    return torch.where(down, fields.flip(-2), fields)


def all_ways(like: Tensor) -> Tensor:
    """All eight, or four of fields with more rows than columns, (way, 3)."""
    bits = [(a, b, c) for a in (0.0, 1.0) for b in (0.0, 1.0) for c in ((0.0, 1.0) if _square(like) else (0.0,))]
    return torch.tensor(bits, device=like.device)


def _square(fields: Tensor) -> bool:
    return fields.shape[-1] == fields.shape[-2]


def _chosen(fields: Tensor, ways: Tensor) -> tuple[Tensor, ...]:
    return tuple((ways[:, i] >= 0.5).reshape(-1, *(1,) * (fields.ndim - 1)) for i in range(WAYS))
