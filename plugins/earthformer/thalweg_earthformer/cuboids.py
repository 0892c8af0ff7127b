"""Cutting a field into cuboids, and putting it together again.

Along an axis of `n` cells and blocks of `b`, a *local* cuboid holds neighbours, a *dilated* one every `n / b`-th cell:

    local    cell = cuboid * b + position          dilated    cell = position * (n / b) + cuboid

What this needs to know of a shape is a `Plan`. Cutting is one permutation; where the cells of a
cuboid and the cuboids themselves are neighbours in memory already, as in all axial patterns, it copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from thalweg import OptionError
from torch import Tensor
from torch.nn import functional

from .shapes import Cells, Groups, Heads, Triple

Padding = Literal["zeros", "ignore", "nearest"]
Strategy = Literal["l", "d"]

AXES = range(3)


@dataclass(frozen=True)
class Cuboid:
    """The extent of a cuboid in (time, height, width), how far the grid of cuboids is shifted, and its strategies.

    `strategy` has "l", local, or "d", dilated, for each axis.
    """

    size: Triple
    shift: Triple = (0, 0, 0)
    strategy: tuple[Strategy, Strategy, Strategy] = ("l", "l", "l")

    def __post_init__(self) -> None:
        if min(self.size) < 1 or min(self.shift) < 0 or not set(self.strategy) <= {"l", "d"}:
            raise OptionError(
                f"a cuboid of {self.size!r}, shift {self.shift!r}, strategy {self.strategy!r}",
                allowed="sizes of at least 1, shifts of at least 0, strategies 'l' (local) and 'd' (dilated)",
                advice="give three of each, for time, height and width",
            )

    def within(self, shape: Triple) -> Cuboid:
        """This cuboid on a field of that shape: no larger than it, and not shifted where that would change nothing."""
        t, h, w = (min(block, cells) for block, cells in zip(self.size, shape, strict=True))
        still = [self.strategy[i] == "d" or shape[i] <= self.size[i] for i in AXES]
        along, down, across = (0 if still[i] else self.shift[i] % self.size[i] for i in AXES)
        return replace(self, size=(t, h, w), shift=(along, down, across))


@dataclass(frozen=True)
class Column:
    """A cuboid of cross-attention: (height, width) cells, and the `cuts`-th part of the time of queries and of keys."""

    size: tuple[int, int]
    shift: tuple[int, int] = (0, 0)
    strategy: tuple[Strategy, Strategy, Strategy] = ("l", "l", "l")
    cuts: int = 1

    def __post_init__(self) -> None:
        Cuboid((self.cuts, *self.size), (0, *self.shift), self.strategy)


@dataclass(frozen=True)
class Plan:
    """How a field of `shape` is cut into cuboids; `cuboid` is already `within` it. Made by `plans.plan`."""

    shape: Triple
    cuboid: Cuboid
    padding: Padding
    early: bool = False
    """Whether time is padded before the first cell, not after the last."""
    cuts: int = 0
    """Cuboids along time, if more than the field needs."""
    grouped: tuple[int, ...] = ()
    """The axes along which cuboids are counted with the heads, not with the batch."""

    counts: Triple = field(init=False, compare=False)
    """Cuboids along each axis."""
    padded: Triple = field(init=False, compare=False)
    length: int = field(init=False, compare=False)
    """Cells of a cuboid."""
    groups: int = field(init=False, compare=False)
    """Cuboids that are counted with the heads."""
    _split: tuple[int, ...] = field(init=False, compare=False)
    _order: tuple[int, ...] = field(init=False, compare=False)

    # All that follows from the shape is computed here, once, and not by a compiler that traces what uses it.
    def __post_init__(self) -> None:
        size, local = self.cuboid.size, [each == "l" for each in self.cuboid.strategy]
        t, h, w = (-(-self.shape[i] // size[i]) for i in AXES)
        counts = (self.cuts or t, h, w)
        pairs = [(counts[i], size[i]) if local[i] else (size[i], counts[i]) for i in AXES]
        rows = [self._counted[i] for i in AXES if i not in self.grouped]
        groups = [self._counted[i] for i in self.grouped]
        known = {
            "counts": counts,
            "padded": tuple(counts[i] * size[i] for i in AXES),
            "length": prod(size),
            "groups": prod(counts[i] for i in self.grouped),
            "_split": tuple(number for pair in pairs for number in pair),
            "_order": (0, *rows, *groups, 7, *self._inside, 8),
        }
        for name, value in known.items():
            object.__setattr__(self, name, value)

    @property
    def _counted(self) -> list[int]:
        return [1 + 2 * i + (self.cuboid.strategy[i] == "d") for i in AXES]

    @property
    def _inside(self) -> list[int]:
        return [1 + 2 * i + (self.cuboid.strategy[i] == "l") for i in AXES]

    def pad(self, x: Heads | Cells) -> Heads | Cells:
        """The field, continued to whole cuboids."""
        if self.padded == self.shape:
            return x
        if self.padding == "nearest":
            return _resized(x, self.padded, _nearest)
        before = self.padded[0] - self.shape[0] if self.early else 0
        after = [self.padded[i] - self.shape[i] - (before if i == 0 else 0) for i in AXES]
        return functional.pad(x, (0, 0) * (x.ndim - 4) + (0, after[2], 0, after[1], before, after[0]))

    def unpad(self, x: Heads | Cells) -> Heads | Cells:
        """The field without what `pad` added."""
        if self.padded == self.shape:
            return x
        if self.padding == "nearest":
            return _resized(x, self.shape, _first)
        first = self.padded[0] - self.shape[0] if self.early else 0
        return x[:, first : first + self.shape[0], : self.shape[1], : self.shape[2]]

    def cut(self, x: Heads) -> Groups:
        """A padded field in its cuboids; a bijection."""
        if any(self.cuboid.shift):
            t, h, w = self.cuboid.shift
            x = x.roll((-t, -h, -w), (1, 2, 3))
        batch, heads, depth = x.shape[0], x.shape[4], x.shape[5]
        x = x.reshape(batch, *self._split, heads, depth).permute(self._order)
        return x.reshape(-1, self.groups * heads, self.length, depth)

    def merge(self, x: Groups, batch: int) -> Heads:
        """The inverse of `cut`."""
        heads, depth = x.shape[1] // self.groups, x.shape[3]
        sizes = (batch, *self._split, heads, depth)
        x = x.reshape([sizes[i] for i in self._order]).permute([self._order.index(i) for i in range(9)])
        x = x.reshape(batch, *self.padded, heads, depth)
        return x.roll(self.cuboid.shift, (1, 2, 3)) if any(self.cuboid.shift) else x

    def numbered(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Padded and shifted cells by (cuboid, position), cuboids in order of time, height, width."""
        order = [i - 1 for i in (*self._counted, *self._inside)]
        return cells.reshape(self._split).transpose(order).reshape(-1, self.length)

    def real(self) -> NDArray[np.bool_]:
        """By (cuboid, position): is it a cell of the field, not of the padding?"""
        first = self.padded[0] - self.shape[0] if self.early else 0
        found = np.zeros(self.padded, dtype=bool)
        found[first : first + self.shape[0], : self.shape[1], : self.shape[2]] = True
        return self.numbered(np.roll(found, [-shift for shift in self.cuboid.shift], tuple(AXES)))

    def regions(self) -> NDArray[np.int64]:
        """By (cuboid, position): the number of the part of the field that the shift left whole."""
        number = np.zeros(self.padded, dtype=np.int64)
        for i in AXES:
            block, shift, cells = self.cuboid.size[i], self.cuboid.shift[i], self.padded[i]
            along = np.zeros(cells, dtype=np.int64)
            if shift:
                along[cells - block : cells - shift] = 1
                along[cells - shift :] = 2
            number = number * 3 + np.moveaxis(np.broadcast_to(along, (1, 1, cells)), 2, i)
        return self.numbered(number)


def _resized(x: Tensor, shape: Triple, source: Callable[[Tensor, int, int], Tensor]) -> Tensor:
    for dim, cells in enumerate(shape, start=1):
        if cells != x.shape[dim]:
            x = x.index_select(dim, source(torch.arange(cells, device=x.device), x.shape[dim], cells))
    return x


def _nearest(cell: Tensor, before: int, after: int) -> Tensor:
    return cell * before // after


def _first(cell: Tensor, before: int, after: int) -> Tensor:
    # The first of the copies that `_nearest` made of a cell, so that what was stretched comes back.
    return (cell * before + after - 1) // after
