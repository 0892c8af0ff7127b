"""From noise to a field, level by level: what each sampler makes of a denoised estimate.

A state is $z = a x + s n$ at a level $(a, s)$; the estimate at a step is $\\hat x = E[x \\mid z]$, which laws may have
corrected. Then $\\hat n = (z - a \\hat x) / s$, and at the next level $(a', s')$:

    ddim, euler   z' = a' x + s' n                        Song and others 2021 (10.48550/arXiv.2010.02502)
    ddpm          z' ~ p(z' | z, x), a Gaussian           Ho and others 2020 (10.48550/arXiv.2006.11239)
    dpm-solver++  ddim with x extrapolated in log(a / s)  Lu and others 2022 (10.48550/arXiv.2211.01095), order 2M
    heun          with the mean of both ends              Karras and others 2022 (10.48550/arXiv.2206.00364)

`euler` and `heun` are of a flow, where signal and scale change linearly in time; there `ddim` is Euler's step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from .path import Level

Kind = Literal["ddpm", "ddim", "dpm-solver++", "euler", "heun"]


@dataclass(frozen=True)
class Step:
    """Where an estimate is asked for, and what becomes of it."""

    level: Level
    gain: float
    """$g$ of the next state, $g \\hat x$ and what does not depend on the estimate."""
    deviation: float = 0.0
    """Standard deviation of $p(z' \\mid z, x)$: of the noise that `ddpm` adds, and the others leave out."""
    last: bool = False
    """Whether the estimate is what is drawn."""


Denoise = Callable[[Tensor, Step], Tensor]
"""The estimate for a state, corrected by laws."""
Noise = Callable[[int], Tensor]
"""The noise of a step, standard normal, of the shape of the state."""


def sample(kind: Kind, start: Tensor, levels: tuple[Level, ...], *, denoise: Denoise, noise: Noise) -> Tensor:
    """The clean field at the end of `levels`, noisiest first, the last clean; from a state `start` at the first."""
    state, previous = start, None
    for number, (now, then) in enumerate(itertools.pairwise(levels)):
        if then.scale == 0.0:
            return denoise(state, Step(now, 1.0, last=True))
        gain = _gain(now, then)
        deviation = posterior(now, then)[2]
        if kind == "ddpm":
            found = denoise(state, Step(now, posterior(now, then)[0], deviation))
            state = ancestral(state, found, now, then, noise(number))
        elif kind == "dpm-solver++" and previous is not None:
            found = denoise(state, Step(now, (1.0 + ahead(previous[0], now, then)) * gain, deviation))
            state = ddim(state, extrapolated(found, previous[1], previous[0], now, then), now, then)
        elif kind == "heun":
            found = denoise(state, Step(now, gain, deviation))
            guess = ddim(state, found, now, then)
            # Either estimate makes half of the step.
            corrected = denoise(guess, Step(then, _half_gain(now, then), 0.5 * deviation))
            state = heun(state, guess, found, corrected, now, then)
        else:
            found = denoise(state, Step(now, gain, deviation))
            state = ddim(state, found, now, then)
        previous = (now, found)
    raise AssertionError("levels end in the clean one")


def ddim(state: Tensor, estimate: Tensor, now: Level, then: Level) -> Tensor:
    """With the noise that is implied."""
    return then.signal * estimate + then.scale / now.scale * (state - now.signal * estimate)


def ancestral(state: Tensor, estimate: Tensor, now: Level, then: Level, noise: Tensor) -> Tensor:
    """A draw of $p(z' \\mid z, x)$."""
    of_estimate, of_state, deviation = posterior(now, then)
    return of_estimate * estimate + of_state * state + deviation * noise


def posterior(now: Level, then: Level) -> tuple[float, float, float]:
    r"""Of $p(z' \mid z, x)$ the factors of $x$ and $z$ in its mean, and its standard deviation: with $r = a / a'$ and
    $\beta = s^2 - r^2 s'^2$, $a' \beta / s^2$, $r s'^2 / s^2$ and the root of $\beta s'^2 / s^2$.
    """
    ratio = now.signal / then.signal
    added = now.scale**2 - ratio**2 * then.scale**2
    return (
        then.signal * added / now.scale**2,
        ratio * then.scale**2 / now.scale**2,
        math.sqrt(added) * then.scale / now.scale,
    )


def extrapolated(estimate: Tensor, before: Tensor, earlier: Level, now: Level, then: Level) -> Tensor:
    """The estimate half a step on, from the last two: linear in the logarithm of signal over scale."""
    share = ahead(earlier, now, then)
    return (1.0 + share) * estimate - share * before


def ahead(earlier: Level, now: Level, then: Level) -> float:
    """How far half a step is, in steps before it; 0 where a level has no signal."""
    if earlier.signal == 0.0 or now.signal == 0.0:
        return 0.0
    step, last = _ratio(then) - _ratio(now), _ratio(now) - _ratio(earlier)
    return step / (2.0 * last)


def heun(state: Tensor, guess: Tensor, estimate: Tensor, corrected: Tensor, now: Level, then: Level) -> Tensor:
    """With the mean of the slopes at both ends, where signal and scale change linearly in time."""
    implied = (state - now.signal * estimate) / now.scale
    at_end = (guess - then.signal * corrected) / then.scale
    half_estimate, half_noise = (estimate + corrected) / 2.0, (implied + at_end) / 2.0
    return state + (then.signal - now.signal) * half_estimate + (then.scale - now.scale) * half_noise


def _gain(now: Level, then: Level) -> float:
    """Of the estimate in the next state, by `ddim`."""
    return then.signal - then.scale / now.scale * now.signal


def _half_gain(now: Level, then: Level) -> float:
    """Of the second estimate of a step in the next state, by `heun`."""
    return (then.signal - now.signal) / 2.0 - (then.scale - now.scale) / 2.0 * then.signal / then.scale


def _ratio(level: Level) -> float:
    return math.log(level.signal / level.scale)
