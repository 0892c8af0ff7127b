"""Sums and spectra of a field across a boundary, of its modes alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from .closures import Side


@dataclass(frozen=True)
class Across:
    """Space has `sizes`, the boundary lies across dim `axis` of it; `frequencies` by dim, as a convolution has them.

    A face has a spectrum along the boundary, of as many frequencies as the other dims keep together. Spectra of fields
    are `(*kept, anything)`, those of faces `(side, along, anything)`. In one dim a face is one real number.
    """

    frequencies: tuple[Tensor, ...]
    sizes: tuple[int, ...]
    axis: int
    sides: tuple[Side, ...]
    real: torch.dtype

    @property
    def others(self) -> tuple[int, ...]:
        """The dims along the boundary."""
        return tuple(dim for dim in range(len(self.sizes)) if dim != self.axis)

    @property
    def count(self) -> int:
        """Frequencies along the boundary."""
        return prod(len(self.frequencies[dim]) for dim in self.others)

    @property
    def halved(self) -> bool:
        """Whether only half of the frequencies across are there."""
        return self.axis == len(self.sizes) - 1

    @cached_property
    def phases(self) -> Tensor:
        r"""$e^{2\pi i k n / N}$ of the cell $n$ at each side: 0, or $N - 1$, which is $-1$."""
        angle = -2 * torch.pi / self.sizes[self.axis] * self.frequencies[self.axis].to(self.real)
        angles = torch.stack([angle if side == "right" else 0 * angle for side in self.sides])
        return torch.polar(torch.ones_like(angles), angles)

    @cached_property
    def _cells(self) -> Tensor:
        """Of each side, across."""
        cells = [0 if side == "left" else self.sizes[self.axis] - 1 for side in self.sides]
        return torch.tensor(cells, device=self.frequencies[0].device)

    @cached_property
    def to_faces(self) -> Tensor:
        """Weights of the sum over frequencies across that gives each face, `(side, frequency)`."""
        return self.phases * self._share

    @cached_property
    def to_blocks(self) -> Tensor:
        """The same for each pair of sides, the one that is seen from the slower."""
        pairs = self.phases[:, None].conj() * self.phases
        return pairs.reshape(-1, pairs.shape[-1]) * self._share

    @cached_property
    def _share(self) -> Tensor:
        """Of a frequency in a sum over those that are there; the other half is added as the conjugate."""
        frequency = self.frequencies[self.axis]
        half = torch.ones_like(frequency, dtype=self.real)
        if self.halved:
            half[frequency == 0] = 0.5
            half *= 2 if len(self.sizes) == 1 else 1
        return half / self.sizes[self.axis]

    @cached_property
    def _opposite(self) -> Tensor:
        """Where the opposite of each frequency along the boundary stands; itself, where it is not kept."""
        device = self.frequencies[0].device
        at = torch.arange(self.count, device=device).reshape([len(self.frequencies[dim]) for dim in self.others])
        for number, dim in enumerate(self.others):
            if dim != len(self.sizes) - 1:
                at = at.flip(number).roll(1, number)
        return at.flatten()

    @cached_property
    def _doubled(self) -> Tensor:
        """Half where a frequency along the boundary and its opposite are both kept, of which no real field is sure."""
        shape = [len(self.frequencies[dim]) for dim in self.others]
        last = torch.where(self.frequencies[-1] == 0, 0.5, 0.0).to(self.phases.dtype)
        return last.expand(shape).reshape(-1, 1)

    @cached_property
    def _analysis(self) -> tuple[Tensor, ...]:
        """Fourier transforms along each of the other dims, as matrices; the first in its real and imaginary part."""
        found: list[Tensor] = []
        for dim in self.others:
            cells = torch.arange(self.sizes[dim], device=self.frequencies[dim].device)
            # Whole turns are left out before rounding.
            turns = (self.frequencies[dim][:, None] * cells) % self.sizes[dim]
            angles = -2 * torch.pi / self.sizes[dim] * turns.to(torch.float64)
            parts = torch.cos(angles).to(self.real), torch.sin(angles).to(self.real)
            found.append(torch.complex(*parts) if found else torch.cat(parts))
        return tuple(found)

    def at(self, weights: Tensor, spectrum: Tensor) -> Tensor:
        """What weights of the frequencies across make of a spectrum: of its faces, `(weights, along, anything)`."""
        kept = [len(each) for each in self.frequencies]
        before, rest = prod(kept[: self.axis]), spectrum.shape[-1]
        total = weights @ spectrum.reshape(before, kept[self.axis], -1)
        total = total.reshape(before, len(weights), -1, rest).transpose(0, 1).reshape(len(weights), -1, rest)
        if len(self.sizes) == 1:
            return total.real
        opposite = total.index_select(1, self._opposite).conj()
        # The other half of the frequencies across is the conjugate, at the opposite frequencies along the boundary.
        return total + opposite if self.halved else torch.lerp(total, opposite, self._doubled)

    def given(self, x: Tensor) -> Tensor:
        """The spectra of the faces of a field `(sample, *space, channel)`: `(side, along, sample * channel)`."""
        faces = x.index_select(self.axis + 1, self._cells).movedim((self.axis + 1, 0), (0, -2))
        if not self.others:
            return faces.reshape(len(self.sides), 1, -1)
        first, *more = self._analysis
        lines = first @ faces.reshape(len(self.sides), self.sizes[self.others[0]], -1)
        found = torch.complex(*lines.chunk(2, 1))
        for matrix in more:
            found = matrix @ found.reshape(len(self.sides), found.shape[1], matrix.shape[1], -1)
            found = found.flatten(1, 2)
        return found.reshape(len(self.sides), self.count, -1)

    def spread(self, faces: Tensor) -> Tensor:
        """The spectrum of a field that has these faces, `(side, along, anything)`, and is 0 elsewhere."""
        kept = [len(each) for each in self.frequencies]
        before, rest = prod(kept[: self.axis]), faces.shape[-1]
        lines = faces.to(self.phases.dtype).reshape(len(self.sides), before, -1).transpose(0, 1)
        return (self.phases.mH @ lines).reshape(*kept, rest)
