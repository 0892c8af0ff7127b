r"""A sampler whose distribution is known: of Gaussian fields, whose denoiser and conditional laws are closed formulas.

Of $x \sim N(m, C)$ and $z = a x + s n$, $n \sim N(0, N)$,

$$ E[x \mid z] = m + a C (a^2 C + s^2 N)^{-1} (z - a m), $$

and under $H x = b$ up to noise of covariance R the mean is $m - C H^T S^{-1} (H m - b)$, $S = H C H^T + R$, the
covariance $C - C H^T S^{-1} H C$.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..components import Draw, Fields
from ..components.denoised import Denoised, Noise

if TYPE_CHECKING:
    from torch import Tensor

    from ..components.steering import Steering

    Decode = Callable[[Tensor], Fields]

Levels = tuple[tuple[float, float], ...]
"""Signal and scale, noisiest first, the last clean."""

STEPS = 10


def flow(steps: int = STEPS, *, first: float = 1e-3) -> Levels:
    """$a = t$, $s = 1 - t$: its steps are those of Euler's method."""
    return tuple((t, 1.0 - t) for t in (max(number / steps, first) for number in range(steps + 1)))


def diffusion(steps: int = STEPS) -> Levels:
    """$a^2 + s^2 = 1$."""
    signal = [math.cos(0.999 * math.pi / 2 * (1.0 - number / steps)) for number in range(steps + 1)]
    return tuple((a, math.sqrt(max(1.0 - a * a, 0.0))) for a in signal)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """States (item, cell) in double precision: their distribution, and the covariance of their noise."""

    mean: Tensor
    covariance: Tensor
    noise: Tensor

    @classmethod
    def of(cls, cells: int, *, coloured: bool = False) -> Gaussian:
        """With a variance that is larger in one place, and noise that is white, or is itself correlated."""
        import torch

        cell = torch.arange(cells, dtype=torch.float64)
        away = (cell[:, None] - cell).abs()
        spread = 0.5 + 1.5 * torch.exp(-(((cell - 0.6 * cells) / (cells / 6)) ** 2))
        noise = torch.exp(-away / 3) if coloured else torch.eye(cells, dtype=torch.float64)
        return cls(1.0 + torch.sin(cell / 7), spread[:, None] * spread * torch.exp(-away / 5), noise)

    def denoised(self, state: Tensor, signal: float, scale: float) -> Tensor:
        """$E[x | z]$."""
        import torch

        whole = signal**2 * self.covariance + scale**2 * self.noise
        gain = signal * torch.linalg.solve(whole, self.covariance)
        found: Tensor = self.mean + (state - signal * self.mean) @ gain
        return found

    def given(self, rows: Tensor, targets: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        r"""Mean and covariance under $H x = b + e$, $e \sim N(0, R)$, R of the variances `noise`."""
        import torch

        product = rows @ self.covariance
        gain = torch.linalg.solve(product @ rows.T + torch.diag(noise), product)
        return self.mean - (rows @ self.mean - targets) @ gain, self.covariance - product.T @ gain

    @cached_property
    def _colour(self) -> Tensor:
        import torch

        found: Tensor = torch.linalg.cholesky(self.noise)
        return found

    def drawn(self, levels: Levels, draw: Draw, *, decode: Decode, steering: Steering | None = None) -> Tensor:
        """Clean states (item, cell), each denoised estimate held to the laws of `steering`."""
        import torch

        white = torch.from_numpy(draw.normal("start", tuple(self.mean.shape), members=True)).flatten(0, 1).double()
        state = white @ self._colour.T
        for step, ((a, s), (b, r)) in enumerate(itertools.pairwise(levels)):
            last = r == 0.0
            deviation = 0.0 if last else math.sqrt(s**2 - (a * r / b) ** 2) * r / s
            noise = Noise(a, s, b - r / s * a, deviation, last, lambda vector: vector @ self.noise)
            now = Denoised.of(
                lambda z, a=a, s=s: self.denoised(z, a, s),  # type: ignore[misc]
                state,
                decode=decode,
                noise=noise,
                draw=draw.at(step),
            )
            found = now.estimate.detach() if steering is None else steering(now)
            state = found if last else b * found + r / s * (state - a * found)
        return state


def distance(states: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """Squared Wasserstein-2 distance of the states' Gaussian to another, over its trace."""
    import torch

    found, half = torch.cov(states.T), _root(covariance)
    shift = (states.mean(0) - mean).square().sum()
    return float((shift + (found + covariance - 2 * _root(half @ found @ half)).trace()) / covariance.trace())


def _root(matrix: Tensor) -> Tensor:
    import torch

    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    found: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return found
