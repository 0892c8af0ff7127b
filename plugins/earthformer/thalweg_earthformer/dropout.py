"""Dropout that costs little time and memory on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_DRAWN = ("cpu", "meta")

_LEVELS = 1 << 16
"""On a CPU a number is dropped if 16 random bits say so: rates are rounded to 1 / 65536."""


def drop(x: Tensor, rate: float) -> Tensor:
    """`x` with a share `rate` of its numbers 0, and the others grown accordingly."""
    if not rate:
        return x
    if x.device.type not in _DRAWN:
        return functional.dropout(x, rate)
    return (x * keep_mask(x, rate)).mul_(1 / (1 - rate))


def keep_mask(x: Tensor, rate: float) -> Tensor:
    """1 where a number is kept, else 0: a byte each, drawn in a quarter of the time that torch takes on a CPU."""
    if x.device.type not in _DRAWN:
        return torch.empty(x.shape, dtype=torch.int8, device=x.device).bernoulli_(1 - rate)
    count = x.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    bits = words.view(torch.int16)[:count].view(x.shape)
    return (bits >= round(rate * _LEVELS) - _LEVELS // 2).view(torch.int8)
