"""The way from noise to a field: $z = a x + s n$, with less and less noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from thalweg import OptionError

from .schedule import Schedule

Spacing = Literal["trailing", "leading", "linspace"]


@dataclass(frozen=True)
class Level:
    """How noisy a state is."""

    time: float
    """What the network is told: a step of the schedule, or the time of a flow."""
    signal: float
    """$a$."""
    scale: float
    """$s$; 0 for a clean field."""


FIRST = 1e-3
"""Signal of the noisiest level of a flow: without any, an estimate says nothing of how its cells belong together."""

CLEAN = Level(-1.0, 1.0, 0.0)


class Path(ABC):
    """A family of levels."""

    @abstractmethod
    def levels(self, steps: int) -> tuple[Level, ...]:
        """So many levels to denoise at, noisiest first, and the clean one. Raises `OptionError`."""

    @abstractmethod
    def at(self, share: float) -> Level:
        """The level at a share in [0, 1) of the way, 0 the noisiest: for learning."""


@dataclass(frozen=True)
class Diffusion(Path):
    r"""$a = \sqrt{\bar\alpha_t}$, $s = \sqrt{1 - \bar\alpha_t}$ at the steps of a schedule.

    `spacing` says which steps are taken where there are fewer than the schedule has: `trailing` ends at the first and
    begins at the last, `leading` leaves the noisiest out, `linspace` has both ends.
    """

    schedule: Schedule = field(default_factory=Schedule)
    spacing: Spacing = "trailing"

    def levels(self, steps: int) -> tuple[Level, ...]:
        total = self.schedule.steps
        if not 1 <= steps <= total:
            raise OptionError(
                f"{steps!r} steps of sampling",
                allowed=f"1 to {total}, the steps of the schedule",
                advice="take fewer steps, or a schedule with more",
            )
        if self.spacing == "trailing":
            chosen = np.round(np.arange(total, 0, -total / steps)).astype(int)[:steps] - 1
        elif self.spacing == "leading":
            chosen = (np.arange(steps) * (total // steps))[::-1]
        else:
            chosen = np.round(np.linspace(0, total - 1, steps)).astype(int)[::-1]
        return (*(self._level(int(step)) for step in chosen), CLEAN)

    def at(self, share: float) -> Level:
        return self._level(self.schedule.steps - 1 - int(share * self.schedule.steps))

    def _level(self, step: int) -> Level:
        signal = float(self.schedule.signal[step])
        return Level(float(step), signal**0.5, (1.0 - signal) ** 0.5)


@dataclass(frozen=True)
class Flow(Path):
    """$a = t$, $s = 1 - t$ for times from 0.001 to 1; the network is told $1000 t$."""

    def levels(self, steps: int) -> tuple[Level, ...]:
        if steps < 1:
            raise OptionError(f"{steps!r} steps of sampling", allowed="at least 1", advice="give more steps")
        return (*(self.at(number / steps) for number in range(steps)), CLEAN)

    def at(self, share: float) -> Level:
        time = max(share, FIRST)
        return Level(1000.0 * time, time, 1.0 - time)
