"""The correction as it was published: one scalar for all channels, of one dim of space.

The scalars $K_{00}, K_{N0}, K_{0N}, K_{NN}$ are read from the first output channel of probes that are 1 in all input
channels, with the layer's bias in them. The law still holds, by its overwriting; inside, the correction is that of
the theory for one channel only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .closures import Closure, Faces, Side

SMALLEST = 1e-4
"""Scalars below it are replaced by it."""

Layer = Callable[[Tensor], Tensor]


def corrected(layer: Layer, x: Tensor, closure: Closure, values: Faces) -> Tensor:
    """The layer's output on `(sample, x, channel)` under one law."""
    if not closure.sides:
        return closure.overwrite(layer(x), values)
    if any(len(line.weights) > 1 for line in closure.lines):
        # Only the right side is eliminated, and half is given: a layer and its skip add up.
        return closure.overwrite(eliminated(layer, x, ("right",)), values) / 2
    return closure.overwrite(eliminated(layer, x, closure.sides), values)


def eliminated(layer: Layer, x: Tensor, sides: tuple[Side, ...]) -> Tensor:
    """The output before its boundary is written."""
    changed, corner = x, {}
    for side in sides:
        probe = torch.zeros_like(x[:1])
        probe[:, 0 if side == "left" else -1] = 1.0
        answer = layer(probe)[0, :, 0]
        corner[side] = answer[0], answer[-1]
    if len(sides) == 2:
        product = layer(x)
        (k00, kn0), (k0n, knn) = corner["left"], corner["right"]
        knn = _away_from_zero(knn)
        schur = _away_from_zero(k00 - kn0 * k0n / knn)
        reached = product[:, 0] - product[:, -1] * k0n / knn + k0n * x[:, -1]
        changed = _with(changed, 0, 2 * x[:, 0] - reached / schur)
    elif "left" in sides:
        return layer(_with(x, 0, 2 * x[:, 0] - layer(x)[:, 0] / _away_from_zero(corner["left"][0])))
    if "right" in sides:
        knn = _away_from_zero(corner["right"][1])
        changed = _with(changed, -1, 2 * changed[:, -1] - layer(changed)[:, -1] / knn)
    return layer(changed)


def _away_from_zero(scalar: Tensor) -> Tensor:
    return torch.where(scalar.abs() < SMALLEST, torch.full_like(scalar, SMALLEST), scalar)


def _with(x: Tensor, at: int, face: Tensor) -> Tensor:
    parts = [face[:, None], x[:, 1:]] if at == 0 else [x[:, :-1], face[:, None]]
    return torch.cat(parts, 1)
