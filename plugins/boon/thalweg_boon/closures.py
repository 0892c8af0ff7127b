"""Making a field obey lines at its faces, by its outermost cells alone or by a smooth function added to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from thalweg import HandshakeError, Line
from torch import Tensor

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")

Faces = Sequence[Tensor]
"""What each line gives: of a face's shape, or one that broadcasts to it."""

Array = NDArray[Any]

FLAT = 1e-9
"""Sum of a line's weights, relative to that of their sizes, below which a constant does not change what it gives."""


@dataclass(frozen=True)
class Closure:
    r"""Lines on `field` across its dim `axis`: $x_0 = (b - \sum_{j > 0} c_j x_j) / c_0$; nothing is changed in place.

    Of a line over both ends these two cells are moved, by the least squares.
    """

    axis: int
    lines: tuple[Line, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides at which a cell is given by what lies inwards."""
        return tuple(side for side in SIDES if any(line.side == side for line in self.lines))

    def at(self, axis: int) -> Closure:
        """The same lines across another dim."""
        return Closure(axis, self.lines)

    def check(self, size: int) -> None:
        """Raise `HandshakeError` where a line reaches the cell that another sets, or leaves the outermost one out, or
        two are at one face."""
        if any(0.0 in (line.weights if line.side == "both" else line.weights[:1]) for line in self.lines):
            raise HandshakeError(
                "a line weighs its outermost cell by 0, which is the one that is set",
                allowed="lines whose outermost weight is not 0",
                advice="change the weights or the order of the difference, or hold the law at the output",
            )
        reach, most = max(len(line.weights) for line in self.lines), size - (len(self.sides) > 1)
        if reach > most:
            raise HandshakeError(
                f"a line over {reach} cells from a face, of {size} to the other",
                allowed=f"up to {most} cells",
                advice="lower `order`, or take a finer grid",
            )
        if len(self.lines) > 1 and len({line.side for line in self.lines}) < len(self.lines):
            raise HandshakeError(
                "two lines at one face", allowed="one for each side", advice="hold one of them by another enforcer"
            )

    def overwrite(self, field: Tensor, values: Faces, said: Sequence[Tensor | None] = ()) -> Tensor:
        """The field with other outermost cells, such that each line gives its value, where it is `said`."""
        size = field.shape[self.axis]
        inner = [cell for line in self.lines if line.side != "both" for cell in line.cells(size)[1:]]
        pieces, begin = self._pieces(field, [cut for cell in inner for cut in (cell, cell + 1)])
        by_cell = dict(zip(begin, pieces, strict=True))
        written = dict(by_cell)
        for line, value, mask in zip(self.lines, values, said or [None] * len(self.lines), strict=True):
            cells = line.cells(size)
            made = self._both(line, value, by_cell) if line.side == "both" else self._inwards(line, value, by_cell)
            for cell, each in zip(cells, made, strict=False):
                written[cell] = each if mask is None else torch.where(self._face(mask, each), each, by_cell[cell])
        return torch.cat([written[cell] for cell in begin], self.axis)

    def _inwards(self, line: Line, value: Tensor, by_cell: dict[int, Tensor]) -> tuple[Tensor, ...]:
        own, *others = line.weights
        first, *inner = line.cells(max(by_cell) + 1)
        face = self._face(value.to(by_cell[first]) / own, by_cell[first])
        for cell, weight in zip(inner, others, strict=True):
            face = torch.sub(face, by_cell[cell], alpha=weight / own)
        return (face,)

    def _both(self, line: Line, value: Tensor, by_cell: dict[int, Tensor]) -> tuple[Tensor, ...]:
        one, other = line.weights
        low, high = (by_cell[cell] for cell in line.cells(max(by_cell) + 1))
        given = self._face(value.to(low), low)
        first = (other * other * low - one * other * high + one * given) / (one * one + other * other)
        return first, (given - one * first) / other

    def lift(self, field: Tensor, values: Faces, said: Sequence[Tensor | None] = ()) -> Tensor:
        """The field plus the least smooth function such that each line gives its value; itself, where it does."""
        shapes, inverse = self._lifting(field.shape[self.axis])
        masks = said or [None] * len(self.lines)
        missing = []
        for line, value, mask in zip(self.lines, values, masks, strict=True):
            gap = value.to(field) - self.given(field, line)
            missing.append(gap if mask is None else torch.where(mask, gap, 0.0))
        lifted = field
        for row, shape in zip(inverse, shapes, strict=True):
            amount = sum((float(weight) * each for weight, each in zip(row, missing, strict=True)), torch.zeros(()))
            along = (
                torch.as_tensor(shape)
                .to(field)
                .reshape([-1 if dim == self.axis % field.ndim else 1 for dim in range(field.ndim)])
            )
            lifted = lifted + torch.as_tensor(amount).to(field).unsqueeze(self.axis) * along
        return self.overwrite(lifted, values, said)  # Rounding.

    def given(self, field: Tensor, line: Line) -> Tensor:
        """What a line gives of a field: its face."""
        cells = line.cells(field.shape[self.axis])
        parts = [weight * field.select(self.axis, cell) for cell, weight in zip(cells, line.weights, strict=True)]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def _lifting(self, size: int) -> tuple[list[Array], Array]:
        """A shape for each line, and how much of each takes 1 off what each line lacks: exact for any stencil."""
        shapes = [self._shape(line, size) for line in self.lines]
        found = np.array([[np.dot(line.weights, shape[line.cells(size)]) for shape in shapes] for line in self.lines])
        return shapes, np.linalg.inv(found)

    def _shape(self, line: Line, size: int) -> Array:
        """Constants and straight lines for values, parabolas for what a constant does not change."""
        ramp = np.linspace(0.0, 1.0, size)
        flat = abs(sum(line.weights)) <= FLAT * sum(map(abs, line.weights))
        if line.side == "both":
            return ramp - 0.5 if flat else np.ones(size)
        if flat:
            return -((1.0 - ramp) ** 2) / 2.0 if line.side == "left" else ramp**2 / 2.0
        if len(self.lines) == 1:
            return np.ones(size)
        return 1.0 - ramp if line.side == "left" else ramp

    def _pieces(self, field: Tensor, cuts: Sequence[int]) -> tuple[list[Tensor], list[int]]:
        """Outermost cells and those of `cuts` by themselves, and where each piece begins; cut once."""
        size = field.shape[self.axis]
        at = sorted({0, 1, *cuts, size - 1, size})
        return list(field.split([end - begin for begin, end in pairwise(at)], self.axis)), at[:-1]

    def _face(self, value: Tensor, like: Tensor) -> Tensor:
        """A value, of the shape of an outermost piece."""
        kind = value if value.dtype == torch.bool else value.to(like.dtype)
        return kind.expand(like.squeeze(self.axis).shape).unsqueeze(self.axis)

    @cached_property
    def total(self) -> tuple[float, ...]:
        """The sum of each line's weights: what it gives of a constant."""
        return tuple(sum(line.weights) for line in self.lines)
