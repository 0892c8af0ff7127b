"""The correction of a spectral convolution, with its own two transforms and no more.

$y_0$ and $y_N$ are sums of the spectrum over the frequencies across the boundary, the blocks are the same sums of the
multipliers, and what is added at the boundary has a spectrum in closed form. Along the boundary the convolution acts on
each frequency by itself, and so does the correction: frequencies along boundaries across several dims are one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from .across import Across
from .closures import Side
from .elimination import Eliminator


@runtime_checkable
class Spectral(Protocol):
    """A convolution over all dims of space, channels last, that is a matrix over channels at each frequency.

    `frequencies` by dim; the last has only those from 0 up, as the real FFT has, the others hold $-k$ for each $k$,
    in the FFT's order.
    """

    def frequencies(self, sizes: Sequence[int]) -> tuple[Tensor, ...]: ...
    def multipliers(self, sizes: Sequence[int]) -> Tensor: ...
    def analyse(self, x: Any) -> Tensor: ...
    def synthesise(self, spectrum: Any, *, sizes: Sequence[int]) -> Tensor: ...


@dataclass(frozen=True)
class Group:
    """Boundaries across several dims that hold the same sides."""

    across: tuple[Across, ...]
    eliminator: Eliminator

    @classmethod
    def of(cls, across: tuple[Across, ...], multipliers: Tensor, *, damping: float) -> Group:
        sides, shape = across[0].sides, multipliers.shape[-2:]
        flat = multipliers.reshape(*multipliers.shape[:-2], -1)
        blocks = torch.cat([each.at(each.to_blocks, flat) for each in across], 1).unflatten(-1, shape)
        pairs = [(given, to) for given in sides for to in sides]
        return cls(across, Eliminator.of(dict(zip(pairs, blocks.unbind(), strict=True)), sides, damping=damping))

    def added(self, x: Tensor, spectrum: Tensor) -> Tensor:
        """The spectrum `(*kept, sample * channel)` of what is added to the layer's input; `spectrum` of its output."""
        sides = self.across[0].sides
        given = torch.cat([each.given(x) for each in self.across], 1).unflatten(-1, (len(x), -1))
        reached = torch.cat([each.at(each.to_faces, spectrum) for each in self.across], 1).unflatten(-1, (len(x), -1))
        before, after = (dict(zip(sides, faces.unbind(), strict=True)) for faces in (given, reached))
        found = self.eliminator.added(before, after)
        faces = torch.stack([found[side] for side in sides]).flatten(-2)
        parts = faces.split([each.count for each in self.across], 1)
        return _total([each.spread(part) for each, part in zip(self.across, parts, strict=True)])


@dataclass(frozen=True)
class Prepared:
    """What a correction needs of the weights and the resolution alone."""

    multipliers: Tensor
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, layer: Spectral, across: Sequence[Across], *, damping: float) -> Prepared:
        """With `across` of the dims whose boundaries are held."""
        multipliers = layer.multipliers(across[0].sizes)
        by_sides: dict[tuple[Side, ...], list[Across]] = {}
        for each in across:
            by_sides.setdefault(each.sides, []).append(each)
        groups = tuple(Group.of(tuple(each), multipliers, damping=damping) for each in by_sides.values())
        return cls(multipliers, groups)


def corrected(layer: Spectral, x: Tensor, prepared: Prepared) -> Tensor:
    """The layer's output, before its boundary is written."""
    *kept, inputs, outputs = prepared.multipliers.shape
    multipliers = prepared.multipliers.reshape(-1, inputs, outputs)
    spectrum = layer.analyse(x).reshape(len(x), -1, inputs).transpose(0, 1)
    output = torch.bmm(spectrum, multipliers)
    added = _total([group.added(x, output.reshape(*kept, -1)) for group in prepared.groups])
    output = torch.baddbmm(output, added.reshape(len(output), len(x), inputs), multipliers)
    return layer.synthesise(output.transpose(0, 1).reshape(len(x), *kept, outputs), sizes=tuple(x.shape[1:-1]))


def _total(parts: Sequence[Tensor]) -> Tensor:
    total, *more = parts
    for each in more:
        total = total + each
    return total
