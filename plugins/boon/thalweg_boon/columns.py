"""The correction of any linear layer: one product with the input, and the columns of its kernel at the boundary.

The columns depend on the weights and the resolution alone; they are found by unit inputs, all in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from thalweg import OptionError
from torch import Tensor

from .closures import Side
from .elimination import Eliminator

MOST = 4096
"""Unit inputs that are tried for one layer."""


@dataclass(frozen=True)
class Columns:
    """Of one axis: the bias, the columns by side `(unknowns, *space, outputs)`, and the solved blocks."""

    axis: int
    bias: Tensor
    columns: dict[Side, Tensor]
    eliminator: Eliminator

    @classmethod
    def of(
        cls, layer: Callable[[Tensor], Tensor], x: Tensor, *, axis: int, sides: tuple[Side, ...], damping: float
    ) -> Columns:
        """Of a layer, for inputs of the shape of `x`. Raises `OptionError` where the boundary has too many cells."""
        sizes, channels = tuple(x.shape[1:-1]), x.shape[-1]
        unknowns = prod(size for number, size in enumerate(sizes) if number != axis) * channels
        if unknowns * len(sides) > MOST:
            raise OptionError(
                f"a boundary of {unknowns * len(sides)} unknowns, of a layer whose kernel is not known",
                allowed=f"at most {MOST}, or a spectral convolution, or a layer that acts on each cell by itself",
                advice="hold the law by `boundary-channel` on this network",
            )
        zero = x.new_zeros(1, *sizes, channels)
        probes = [zero]
        for side in sides:
            face = torch.eye(unknowns, dtype=x.dtype, device=x.device)
            face = face.reshape(unknowns, *(s for n, s in enumerate(sizes) if n != axis), channels)
            probe = zero.expand(unknowns, *sizes, channels).clone()
            probe.select(axis + 1, 0 if side == "left" else -1).copy_(face)
            probes.append(probe)
        answers = layer(torch.cat(probes))
        bias, columns = answers[0], {}
        for number, side in enumerate(sides):
            begin = 1 + number * unknowns
            columns[side] = answers[begin : begin + unknowns] - bias
        found = {
            (given, to): columns[given].select(axis + 1, 0 if to == "left" else -1).reshape(1, unknowns, -1)
            for given in sides
            for to in sides
        }
        return cls(axis, bias, columns, Eliminator.of(found, sides, damping=damping))


def corrected(layer: Callable[[Tensor], Tensor], x: Tensor, found: Sequence[Columns]) -> Tensor:
    """The layer's output, before its boundary is written."""
    output = product = layer(x)
    for each in found:
        sides: tuple[Side, ...] = tuple(each.columns)
        cells = {side: 0 if side == "left" else -1 for side in sides}
        before = {side: x.select(each.axis + 1, at).reshape(1, len(x), -1) for side, at in cells.items()}
        linear = {
            side: product.select(each.axis + 1, at) - each.bias.select(each.axis, at) for side, at in cells.items()
        }
        after = {side: face.reshape(1, len(x), -1) for side, face in linear.items()}
        for side, added in each.eliminator.added(before, after).items():
            output = output + torch.tensordot(added[0], each.columns[side], dims=1)
    return output
