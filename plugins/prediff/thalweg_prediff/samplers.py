"""From noise to a field, level by level: what each sampler makes of a denoised estimate.

A state is $z = a x + s n$ at a level $(a, s)$; the estimate at a step is $\\hat x = E[x \\mid z]$, which laws may have
corrected. Then $\\hat n = (z - a \\hat x) / s$, and at the next level $(a', s')$:

    ddim       z' = a' x + s' n; of a flow: Euler      Song and others 2021 (10.48550/arXiv.2010.02502)
    ancestral  z' ~ p(z' | z, x), a Gaussian           Ho and others 2020 (10.48550/arXiv.2006.11239)
    dpm        ddim with x extrapolated in log(a / s)  DPM-Solver++ 2M, Lu and others 2022 (10.48550/arXiv.2211.01095)
    heun       a flow, with the mean of both ends      Karras and others 2022 (10.48550/arXiv.2206.00364)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from .path import Level

Kind = Literal["ddim", "ancestral", "dpm", "heun"]

Denoise = Callable[[Tensor, Level, bool], Tensor]
"""The estimate for a state at a level, corrected by laws; the flag says whether it is the last of all."""
Noise = Callable[[int], Tensor]
"""The noise of a step, standard normal, of the shape of the state."""


@dataclass
class Trace:
    """What sampling took."""

    evaluations: int = 0
    levels: list[Level] = field(default_factory=list)


def sample(
    kind: Kind, start: Tensor, levels: tuple[Level, ...], *, denoise: Denoise, noise: Noise
) -> tuple[Tensor, Trace]:
    """The clean field at the end of `levels`, noisiest first, the last clean; from `start`, standard normal."""
    trace = Trace()
    state, previous = start, None
    for number, (now, then) in enumerate(itertools.pairwise(levels)):
        last = then.scale == 0.0
        found = denoise(state, now, last)
        trace.evaluations += 1
        trace.levels.append(now)
        if last:
            return found, trace
        if kind == "ancestral":
            state = ancestral(state, found, now, then, noise(number))
        elif kind == "dpm" and previous is not None:
            state = ddim(state, extrapolated(found, previous[1], previous[0], now, then), now, then)
        elif kind == "heun":
            guess = ddim(state, found, now, then)
            corrected = denoise(guess, then, False)
            trace.evaluations += 1
            state = heun(state, guess, found, corrected, now, then)
        else:
            state = ddim(state, found, now, then)
        previous = (now, found)
    raise AssertionError("levels end in the clean one")


def ddim(state: Tensor, estimate: Tensor, now: Level, then: Level) -> Tensor:
    """With the noise that is implied."""
    return then.signal * estimate + then.scale / now.scale * (state - now.signal * estimate)


def ancestral(state: Tensor, estimate: Tensor, now: Level, then: Level, noise: Tensor) -> Tensor:
    r"""A draw of $p(z' \mid z, x)$: with $r = a / a'$ and $\beta = s^2 - r^2 s'^2$, mean
    $a' \beta / s^2 \hat x + r s'^2 / s^2 z$, variance $\beta s'^2 / s^2$.
    """
    ratio = now.signal / then.signal
    added = now.scale**2 - ratio**2 * then.scale**2
    mean = then.signal * added / now.scale**2 * estimate + ratio * then.scale**2 / now.scale**2 * state
    deviation = math.sqrt(added) * then.scale / now.scale
    return mean + deviation * noise


def extrapolated(estimate: Tensor, before: Tensor, earlier: Level, now: Level, then: Level) -> Tensor:
    """The estimate half a step on, from the last two: linear in the logarithm of signal over scale."""
    if earlier.signal == 0.0 or now.signal == 0.0:
        return estimate
    step, last = _ratio(then) - _ratio(now), _ratio(now) - _ratio(earlier)
    share = step / (2.0 * last)
    return (1.0 + share) * estimate - share * before


def heun(state: Tensor, guess: Tensor, estimate: Tensor, corrected: Tensor, now: Level, then: Level) -> Tensor:
    """With the mean of the slopes at both ends, where signal and scale change linearly in time."""
    implied = (state - now.signal * estimate) / now.scale
    at_end = (guess - then.signal * corrected) / then.scale
    half_estimate, half_noise = (estimate + corrected) / 2.0, (implied + at_end) / 2.0
    return state + (then.signal - now.signal) * half_estimate + (then.scale - now.scale) * half_noise


def _ratio(level: Level) -> float:
    return math.log(level.signal / level.scale)
