"""Newton's steps: the end of solves whose residuals stay large, where those of least squares creep.

Gauss-Newton and its damped forms leave out what residuals add to the Hessian; where these are large, as of outliers in
plain squares, they approach the optimum by a constant factor near 1. Here (H + mu) x = -g is solved by conjugate
gradients with the factor of J^T J + mu as preconditioner (Steihaug 1983, doi:10.1137/0720042; Nocedal and Wright 2006,
section 7.1); a product with H is the difference of two gradients. All in columns of unit length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .factor import STORED, Matrix, flat
from .problem import Array, Problem, State

FIRST, MOST = 1e-6, 1.0
"""Of mu: where it begins, and beyond which steps are those of damped least squares, and not worth their products."""
SMALLEST = 1e-12
"""Of mu while whole steps gain: more of it would hold a valley back that is as narrow."""
PRODUCTS = 100
"""Of one step, at most."""
PROBE = 1e-5
"""rad or m: how far the gradients are apart of which the difference is taken."""
LEAST, SLOPE = 2.0**-6, 1e-4
"""The shortest part of a step that is tried, and what it must gain of what its slope promises."""


@dataclass(frozen=True)
class Found:
    """A step that was made."""

    state: State
    cost: float
    products: int
    whole: bool
    """Whether it is a Newton step, neither shortened nor ended by negative curvature."""


@dataclass
class Newton:
    """Steps from one state to the next; `mu` goes on from step to step."""

    problem: Problem
    mu: float = FIRST
    _jacobian: Array = field(init=False)
    _squares: Array = field(init=False)

    def __post_init__(self) -> None:
        size = self.problem.size
        self._jacobian = flat(2 * len(self.problem.ends), size * size, STORED["fp64"])
        self._squares = np.empty(len(self.problem.fixed) * self.problem.lanes)

    def step(
        self, state: State, cost: float, *, gradient: Array, scale: Array, factor: Callable[[float], Matrix | None]
    ) -> Found | None:
        """A step from a state with this gradient; None if none lowers the cost.

        `factor` gives the factor of the scaled J^T J + mu, or None where that is not positive.
        """
        self.mu = min(self.mu, MOST)
        while self.mu <= MOST:
            matrix = factor(self.mu)
            if matrix is not None:
                step, products, bowl = self._direction(state, gradient, scale, matrix)
                found = self._along(state, cost, step, -float(gradient @ step))
                if found is not None:
                    trial, after, part = found
                    self.mu = max(self.mu / 10, SMALLEST) if part == 1 else min(4 * self.mu, MOST)
                    return Found(trial, after, products, whole=bowl and part == 1)
            self.mu *= 10
        return None

    def _direction(self, state: State, gradient: Array, scale: Array, matrix: Matrix) -> tuple[Array, int, bool]:
        """The step, products, and whether no direction of negative curvature was met."""
        right = -gradient * scale
        x, r = np.zeros_like(right), right.copy()
        z = _solved(matrix, r)
        p, rz, begin = z.copy(), float(r @ z), float(r @ z)
        for k in range(1, PRODUCTS + 1):
            bent = self._product(state, p * scale) * scale + self.mu * p
            curvature = float(p @ bent)
            if not curvature > 1e-12 * float(p @ p):
                return (x if k > 1 else p) * scale, k, False
            a = rz / curvature
            x += a * p
            r -= a * bent
            z = _solved(matrix, r)
            after = float(r @ z)
            if after <= 1e-4 * begin:
                return x * scale, k, True
            p = z + after / rz * p
            rz = after
        return x * scale, PRODUCTS, True

    def _product(self, state: State, step: Array) -> Array:
        """H times a step, by central differences."""
        length = float(np.abs(step).max())
        if not length > 0:
            return np.zeros_like(step)
        h = PROBE / length
        ahead, back = (self._gradient(self.problem.moved(state, sign * h * step)) for sign in (1.0, -1.0))
        return np.asarray((ahead - back) / (2 * h))

    def _gradient(self, state: State) -> Array:
        found = np.empty_like(self._squares)
        self.problem.linearise(state, jacobian=self._jacobian, gradient=found, squares=self._squares)
        return found

    def _along(self, state: State, cost: float, step: Array, slope: float) -> tuple[State, float, float] | None:
        part = 1.0
        while slope > 0 and part >= LEAST:
            trial = self.problem.moved(state, part * step)
            after = self.problem.cost(trial)
            if after <= cost - 2 * SLOPE * part * slope:
                return trial, after, part
            part /= 2
        return None


def _solved(matrix: Matrix, right: Array) -> Array:
    found = right.copy()
    matrix.solve(found)
    return found
