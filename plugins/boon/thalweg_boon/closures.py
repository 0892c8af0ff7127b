"""Making a field obey a boundary law, by its outermost cells alone or by a smooth function added to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .laws._faces import Side
from .stencil import one_sided

Faces = Mapping[Side, Tensor]
"""Values by side: of a face's shape, or one that broadcasts to it."""


@dataclass(frozen=True)
class Closure(ABC):
    """A law on `field` across its dim `axis`; nothing is changed in place."""

    axis: int

    @property
    @abstractmethod
    def sides(self) -> tuple[Side, ...]:
        """The sides that it holds."""

    @abstractmethod
    def overwrite(self, field: Tensor, values: Faces) -> Tensor:
        """The field with other outermost cells, such that the law holds."""

    @abstractmethod
    def lift(self, field: Tensor, values: Faces) -> Tensor:
        """The field plus the least smooth function such that the law holds; itself, where it holds."""

    def along(self, line: Tensor, field: Tensor) -> Tensor:
        """A line of numbers, laid along the axis of a field."""
        return line.to(field).reshape([-1 if dim == self.axis % field.ndim else 1 for dim in range(field.ndim)])

    def pieces(self, field: Tensor, *cuts: int) -> list[Tensor]:
        """The first cells, what lies between, and the last; cut once, so that there is one gradient to put together."""
        size = field.shape[self.axis]
        at = sorted({0, 1, *cuts, size - 1, size})
        return list(field.split([end - begin for begin, end in pairwise(at)], self.axis))

    def face(self, value: Tensor, like: Tensor) -> Tensor:
        """A value, of the shape of an outermost piece."""
        return value.to(like.dtype).expand(like.squeeze(self.axis).shape).unsqueeze(self.axis)


@dataclass(frozen=True)
class DirichletClosure(Closure):
    """Values."""

    held: tuple[Side, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        return self.held

    def overwrite(self, field: Tensor, values: Faces) -> Tensor:
        pieces = self.pieces(field)
        for side, value in values.items():
            at = 0 if side == "left" else -1
            pieces[at] = self.face(value, pieces[at])
        return torch.cat(pieces, self.axis)

    def lift(self, field: Tensor, values: Faces) -> Tensor:
        size = field.shape[self.axis]
        ramp = torch.linspace(0, 1, size, device=field.device, dtype=field.dtype)
        lifted = field
        for side in self.held:
            at = 0 if side == "left" else -1
            weight = (1 - ramp if side == "left" else ramp) if len(self.held) == 2 else torch.ones_like(ramp)
            missing = (values[side].to(field) - field.select(self.axis, at)).unsqueeze(self.axis)
            lifted = lifted + missing * self.along(weight, field)
        return self.overwrite(lifted, values)  # Rounding.


@dataclass(frozen=True)
class NeumannClosure(Closure):
    """Slopes by one-sided differences of `order` on cells `spacing` apart."""

    held: tuple[Side, ...]
    order: int
    spacing: float

    @property
    def sides(self) -> tuple[Side, ...]:
        return self.held

    def slope(self, field: Tensor, side: Side) -> Tensor:
        """The slope at a side."""
        begin = 0 if side == "left" else field.shape[self.axis] - self.order - 1
        near = field.narrow(self.axis, begin, self.order + 1)
        weights = field.new_tensor(_stencil(side, self.order, self.spacing))
        return (near * self.along(weights, field)).sum(self.axis)

    def overwrite(self, field: Tensor, values: Faces) -> Tensor:
        size = field.shape[self.axis]
        near = {"left": range(1, 1 + self.order), "right": range(size - 2, size - 2 - self.order, -1)}
        cuts = {cut for side in self.held for cell in near[side] for cut in (cell, cell + 1)}
        pieces = self.pieces(field, *cuts)
        by_cell = dict(zip(sorted({0, 1, *cuts, size - 1}), pieces, strict=True))
        written = list(pieces)
        for side in self.held:
            own, *others = _stencil(side, self.order, self.spacing)[:: 1 if side == "left" else -1]
            face = self.face(values[side].to(field) / own, pieces[0])
            for cell, weight in zip(near[side], others, strict=True):
                face = torch.sub(face, by_cell[cell], alpha=weight / own)
            written[0 if side == "left" else -1] = face
        return torch.cat(written, self.axis)

    def lift(self, field: Tensor, values: Faces) -> Tensor:
        size = field.shape[self.axis]
        ramp = torch.linspace(0, 1, size, device=field.device, dtype=torch.float64)
        shapes = {"left": -((1 - ramp) ** 2) / 2, "right": ramp**2 / 2}
        # The slopes of the shapes, as the stencils see them: a small system, whose solution is exact for any order.
        line = NeumannClosure(0, self.held, self.order, self.spacing)
        slopes = torch.stack([torch.stack([line.slope(shapes[s], side) for s in self.held]) for side in self.held])
        solved = torch.linalg.inv(slopes)
        missing = [values[side].to(field) - self.slope(field, side) for side in self.held]
        lifted = field
        for row, side in zip(solved, self.held, strict=True):
            amount = sum((float(weight) * each for weight, each in zip(row, missing, strict=True)), torch.zeros(()))
            lifted = lifted + torch.as_tensor(amount).unsqueeze(self.axis) * self.along(shapes[side], field)
        return self.overwrite(lifted, values)  # Rounding.


@cache
def _stencil(side: Side, order: int, spacing: float) -> tuple[float, ...]:
    """Weights of the outermost cells of a side, from left to right."""
    inwards = np.arange(order + 1) * spacing
    weights = one_sided(inwards if side == "left" else -inwards)
    return tuple(map(float, weights if side == "left" else weights[::-1]))


@dataclass(frozen=True)
class PeriodicClosure(Closure):
    """First and last cells alike."""

    @property
    def sides(self) -> tuple[Side, ...]:
        return ()

    def overwrite(self, field: Tensor, values: Faces) -> Tensor:  # noqa: ARG002
        first, *rest, last = self.pieces(field)
        mean = (first + last) / 2
        return torch.cat([mean, *rest, mean], self.axis)

    def lift(self, field: Tensor, values: Faces) -> Tensor:
        gap = (field.select(self.axis, -1) - field.select(self.axis, 0)).unsqueeze(self.axis)
        ramp = torch.linspace(-0.5, 0.5, field.shape[self.axis], device=field.device, dtype=field.dtype)
        return self.overwrite(field - gap * self.along(ramp, field), values)  # Rounding.
