r"""How much noise there is at each level: $z_t = \sqrt{\bar\alpha_t}\, x + \sqrt{1 - \bar\alpha_t}\, n$."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from thalweg import OptionError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Schedule:
    r"""Variances $\beta_t$ of the noise that each of the steps adds; everything else follows, in float64.

    The published one is linear in $\sqrt{\beta}$: from $\sqrt{10^{-4}}$ to $\sqrt{2 \cdot 10^{-2}}$ in 1000 steps. The
    last level still has a signal: $\sqrt{\bar\alpha_{999}} = 0.027$.
    """

    steps: int = 1000
    first: float = 1e-4
    last: float = 2e-2

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.first <= self.last < 1:
            raise OptionError(
                f"{self.steps!r} steps with variances from {self.first!r} to {self.last!r}",
                allowed="at least one step, and variances that rise between 0 and 1",
                advice="take 1000 steps from 1e-4 to 2e-2, as published",
            )

    @cached_property
    def betas(self) -> Array:
        return np.linspace(self.first**0.5, self.last**0.5, self.steps, dtype=np.float64) ** 2

    @cached_property
    def signal(self) -> Array:
        r"""$\bar\alpha_t = \prod_{s \le t} 1 - \beta_s$."""
        return np.cumprod(1.0 - self.betas, dtype=np.float64)

    @cached_property
    def before(self) -> Array:
        r"""$\bar\alpha_{t-1}$, 1 at the first level."""
        return np.concatenate([[1.0], self.signal[:-1]])

    @cached_property
    def posterior_variance(self) -> Array:
        r"""Variance of $z_{t-1}$ given $z_t$ and $x$: $\beta_t (1 - \bar\alpha_{t-1}) / (1 - \bar\alpha_t)$."""
        return self.betas * (1.0 - self.before) / (1.0 - self.signal)

    @cached_property
    def posterior_log_variance(self) -> Array:
        """Its logarithm; the first level has no variance, and takes 1e-20."""
        return np.log(np.maximum(self.posterior_variance, 1e-20))

    @cached_property
    def of_estimate(self) -> Array:
        r"""What the mean of $z_{t-1}$ has of $x$: $\beta_t \sqrt{\bar\alpha_{t-1}} / (1 - \bar\alpha_t)$."""
        return self.betas * np.sqrt(self.before) / (1.0 - self.signal)

    @cached_property
    def of_noisy(self) -> Array:
        r"""What it has of $z_t$: $(1 - \bar\alpha_{t-1}) \sqrt{1 - \beta_t} / (1 - \bar\alpha_t)$."""
        return (1.0 - self.before) * np.sqrt(1.0 - self.betas) / (1.0 - self.signal)

    @cached_property
    def bound_weights(self) -> Array:
        r"""Weights of the noise's squared error in the variational bound; the first level takes the second's."""
        alphas = 1.0 - self.betas
        with np.errstate(divide="ignore"):
            found = self.betas**2 / (2.0 * self.posterior_variance * alphas * (1.0 - self.signal))
        if self.steps > 1:
            found[0] = found[1]
        return found
