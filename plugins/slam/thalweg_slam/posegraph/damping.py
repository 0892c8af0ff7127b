"""How much a step is shortened or damped, and whether one that gains little is the last: Gauss-Newton and its forms."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 1e-4
"""Of a matrix with unit diagonal: what a Gauss-Newton step that was refused is damped by."""
LEAST, MOST = 1e-12, 1e12
"""Below and above, damping is the rounding of the matrix, or a step that is nothing."""
NONE = 1e-10
"""Up to here a step is that of Gauss-Newton."""
AGAIN = 10
"""Steps of little gain after which a step with less damping, refused before, is tried anew."""
SLOW, PATIENCE, SHORTEST = 1e-2, 3, 2.0**-10
"""Shortened steps end, and damping begins, where as many of them lower the cost by less than this part, or none this
short lowers it."""
DESCENT = 1e-4
"""Of what the slope along a shortened step promises: what it must gain."""


@dataclass
class Shortening:
    """The part of a Gauss-Newton step that is made, once a whole one was refused: halved, and doubled where it gains.

    In a chain of poses that are measured much better than loops, a step of least squares bends the chain as a whole,
    and lowers the cost as long as it is short. Damping holds back each pose instead: a chain then hardly moves. Near
    the optimum damping is the faster, and takes over where short steps gain little.
    """

    fraction: float = 1.0
    small: int = 0
    over: bool = False
    """Whether damping has taken over."""

    def enough(self, decrease: float, gain: float) -> bool:
        """Whether a step lowered the cost as its length promises, where a whole one lowers its model by `gain`."""
        return decrease >= (DESCENT * self.fraction * gain if self.fraction < 1 else 0.0)

    def accepted(self, decrease: float, cost: float) -> None:
        """After a step that lowered a cost by `decrease`."""
        if self.fraction < 1:
            self.small = self.small + 1 if decrease < SLOW * cost else 0
            self.over = self.small >= PATIENCE
        self.fraction = 1.0 if self.over else min(1.0, 2 * self.fraction)

    def refused(self) -> None:
        """After a step that did not lower it enough."""
        self.fraction /= 2
        if self.fraction < SHORTEST:
            self.fraction, self.over = 1.0, True


@dataclass
class Damping:
    """What is added to the diagonal of the scaled normal equations; 0 while Gauss-Newton steps gain.

    A step that lowers the cost as the model said divides it by 3, one that lowers it by half of that leaves it, one
    that lowers it by less multiplies it by up to 2; refused steps multiply it by 2, 4, 8, ... (Nielsen 1999; Madsen,
    Nielsen and Tingleff 2004, section 3.2). So it stays near what the graph needs, and does not cycle between a step
    that is too long and one that is far too short.
    """

    value: float = 0.0
    growth: float = 2.0
    before: float = 0.0
    """The damping to go back to when a step with much less of it is refused; 0 if none is tried."""
    promised: float | None = None
    """The decrease that the last such step, refused, had by its model; None if none was tried since a step gained."""
    small: int = 0

    def accepted(self, decrease: float, promised: float) -> None:
        """After a step that lowered the cost by `decrease`, where the model said `promised`."""
        self.growth, self.before = 2.0, 0.0
        if self.value:
            ratio = min(decrease / promised, 1.0) if promised > 0 else 1.0
            self.value = max(LEAST, self.value * max(1 / 3, 1 - (2 * ratio - 1) ** 3))

    def refused(self, promised: float) -> None:
        """After a step that raised the cost."""
        if self.before:
            self.value, self.before, self.promised = self.before, 0.0, promised
            return
        self.value = self.value * self.growth if self.value else FIRST
        self.growth *= 2.0

    def gained(self) -> None:
        """After an accepted step that is not small: what was refused elsewhere says nothing here."""
        self.promised, self.small = None, 0

    def settled(self, negligible: float) -> bool:
        """After an accepted step of little gain: whether this is the optimum, to `negligible`.

        A damped step may gain little far from it. Then one with much less damping is tried, which tells: it gains, or,
        refused, its model had promised little as well. If it had promised more, it is tried again after some steps.
        """
        if self.value <= NONE:
            return True
        if self.promised is None:
            self.before, self.value = self.value, 1e-3 * self.value
            return False
        if self.promised <= negligible:
            return True
        self.small += 1
        if self.small % AGAIN == 0:
            self.promised = None
        return False
