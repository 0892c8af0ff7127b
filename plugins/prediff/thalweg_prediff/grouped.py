"""Samples and members through a network, so many at once: what one of them gives does not depend on the others.

A processor's convolutions add up in another order where there are more or fewer items, so that member 7 alone would
differ in the last digit from member 7 among eight. So a network is always given the same number.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TOGETHER = 4
"""Items: a small network takes a third more time a member alone than in fours, and in eights no less."""


def grouped(function: Callable[..., Tensor], *items: Tensor, together: int = TOGETHER) -> Tensor:
    """`function(*items)` of tensors (item, ...), in groups; the last group is filled up with its first item."""
    if items[0].is_meta:
        # Of shapes only.
        return function(*items)
    found = []
    for start in range(0, len(items[0]), together):
        parts = [each[start : start + together] for each in items]
        count = len(parts[0])
        if count < together:
            parts = [torch.cat([each, each[:1].expand(together - count, *each.shape[1:])]) for each in parts]
        found.append(function(*parts)[:count])
    return torch.cat(found)
