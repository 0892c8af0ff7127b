"""The correction of a spectral convolution, with its own two transforms and no more.

$y_0$ and $y_N$ are sums of the spectrum over the frequencies across the boundary, the blocks are the same sums of the
multipliers, and what is added at the boundary has a spectrum in closed form. Along the boundary the convolution acts on
each frequency by itself, and so does the correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from .elimination import Blocks, Eliminator
from .laws._faces import Side


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
class Across:
    """Sums and spectra across a boundary: space has `sizes`, the boundary lies across dim `axis` of it."""

    frequencies: tuple[Tensor, ...]
    sizes: tuple[int, ...]
    axis: int
    real: torch.dtype

    @property
    def halved(self) -> bool:
        """Whether only half of the frequencies across are there."""
        return self.axis == len(self.sizes) - 1

    @cached_property
    def phases(self) -> dict[Side, Tensor]:
        r"""$e^{2\pi i k n / N}$ of the cell $n$ at a side: 0, or $N - 1$, which is $-1$."""
        angle = -2 * torch.pi / self.sizes[self.axis] * self.frequencies[self.axis].to(self.real)
        return {
            "left": torch.polar(torch.ones_like(angle), 0 * angle),
            "right": torch.polar(torch.ones_like(angle), angle),
        }

    @cached_property
    def share(self) -> Tensor:
        """Of a frequency in a sum over those that are there; the other half is added as the conjugate."""
        frequency = self.frequencies[self.axis]
        half = (
            torch.where(frequency == 0, 0.5, 1.0)
            if self.halved
            else torch.ones(len(frequency), device=frequency.device)
        )
        return half.to(self.real) / self.sizes[self.axis]

    def at(self, pairs: Sequence[tuple[Side, Side]], spectrum: Tensor) -> tuple[Tensor, ...]:
        """Faces of a field, `(sample, *kept, c)` to `(sample, *along, c)`, by (side it is seen from, side)."""
        phases = torch.stack([self.phases[to] * self.phases[given].conj() for given, to in pairs], -1)
        total: Tensor = torch.tensordot(spectrum.movedim(self.axis + 1, -1), phases * self.share[:, None], dims=1)
        if self.halved:
            # The other half is the conjugate, at the opposite frequencies along the boundary.
            total = total + reflected(total, dims=range(1, len(self.sizes))).conj()
        faces: tuple[Tensor, ...] = torch.unbind(total, -1)
        return faces

    def along(self, face: Tensor) -> Tensor:
        """The spectrum of a face of the input along the boundary, at the frequencies kept."""
        others = [number for number in range(len(self.sizes)) if number != self.axis]
        if not others:
            return face.to(torch.complex64 if face.dtype == torch.float32 else torch.complex128)
        found: Tensor = torch.fft.fftn(face, dim=tuple(range(1, len(others) + 1)))
        for dim, number in enumerate(others, start=1):
            found = found.index_select(dim, self.frequencies[number] % self.sizes[number])
        return found

    def spread(self, side: Side, face: Tensor) -> Tensor:
        """The spectrum of a field that is `face` at a side, and 0 elsewhere."""
        phase = self.phases[side].conj()
        shape = [-1 if number == self.axis else 1 for number in range(len(self.sizes))]
        return face.unsqueeze(self.axis + 1) * phase.reshape(1, *shape, 1)


def reflected(spectrum: Tensor, *, dims: range) -> Tensor:
    """At $-k$, along dims that hold all frequencies in the order of the FFT."""
    for dim in dims:
        spectrum = spectrum.flip(dim).roll(1, dim)
    return spectrum


def symmetric(multipliers: Tensor) -> Tensor:
    """The multipliers of the same real map, for which $R(-k) = R(k)^*$ where both are kept."""
    last = multipliers.ndim - 3
    zero = multipliers.narrow(last, 0, 1)
    zero = (zero + reflected(zero, dims=range(last)).conj()) / 2
    return torch.cat([zero, multipliers.narrow(last, 1, multipliers.shape[last] - 1)], last)


@dataclass(frozen=True)
class Prepared:
    """What a correction needs of the weights and the resolution alone."""

    multipliers: Tensor
    across: tuple[Across, ...]
    eliminators: tuple[Eliminator, ...]

    @classmethod
    def of(
        cls, layer: Spectral, sizes: tuple[int, ...], sides: Sequence[tuple[int, tuple[Side, ...]]], *, damping: float
    ) -> Prepared:
        """`sides` by axis of space."""
        frequencies = layer.frequencies(sizes)
        multipliers = symmetric(layer.multipliers(sizes))
        found, eliminators = [], []
        for axis, held in sides:
            if held:
                across = Across(frequencies, sizes, axis, multipliers.real.dtype)
                found.append(across)
                eliminators.append(Eliminator.of(blocks_of(multipliers, across, held), held, damping=damping))
        return cls(multipliers, tuple(found), tuple(eliminators))


def blocks_of(multipliers: Tensor, across: Across, sides: tuple[Side, ...]) -> Blocks:
    """The boundary blocks, `(*along, inputs, outputs)`; real where there is nothing along the boundary."""
    inputs, outputs = multipliers.shape[-2:]
    flat = multipliers.reshape(1, *multipliers.shape[:-2], inputs * outputs)
    pairs = [(given, to) for given in sides for to in sides]
    found = dict(zip(pairs, across.at(pairs, flat), strict=True))
    shaped = {pair: each[0].reshape(*each.shape[1:-1], inputs, outputs) for pair, each in found.items()}
    return Blocks({pair: each.real if len(across.sizes) == 1 else each for pair, each in shaped.items()})


def corrected(layer: Spectral, x: Tensor, prepared: Prepared) -> Tensor:
    """The layer's output, before its boundary is written."""
    sizes = tuple(x.shape[1:-1])
    spectrum = layer.analyse(x)
    if not prepared.across:
        return layer.synthesise(multiply(spectrum, prepared.multipliers), sizes=sizes)
    output = multiply(spectrum, prepared.multipliers)
    added = None
    for across, eliminator in zip(prepared.across, prepared.eliminators, strict=True):
        one_dimensional = len(sizes) == 1
        sides: tuple[Side, ...] = tuple(eliminator.inverse)
        given = {side: x.select(across.axis + 1, 0 if side == "left" else -1) for side in sides}
        before = given if one_dimensional else {side: across.along(face) for side, face in given.items()}
        reached = dict(zip(sides, across.at([("left", side) for side in sides], output), strict=True))
        after = {side: each.real for side, each in reached.items()} if one_dimensional else reached
        for side, each in eliminator.added(before, after).items():
            part = across.spread(side, each.to(output.dtype))
            added = part if added is None else added + part
    assert added is not None
    return layer.synthesise(output + multiply(added, prepared.multipliers), sizes=sizes)


def multiply(spectrum: Tensor, multipliers: Tensor) -> Tensor:
    """A matrix over channels for each frequency."""
    *kept, inputs, outputs = multipliers.shape
    by_mode = spectrum.expand(len(spectrum), *kept, inputs).reshape(len(spectrum), -1, inputs).transpose(0, 1)
    product = torch.bmm(by_mode, multipliers.reshape(-1, inputs, outputs))
    return product.transpose(0, 1).reshape(len(spectrum), *kept, outputs)
