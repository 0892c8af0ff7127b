"""The iterations of a pose graph: Gauss-Newton steps, shortened or damped where they are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from thalweg import RunError

from ..graph import Graph
from . import diagnose
from .conjugate import conjugate_gradients
from .damping import FIRST, MOST, Damping, Shortening
from .factor import STORED, Matrix, converted
from .newton import Newton
from .precision import Precision
from .problem import Problem, State
from .result import Clock, Iteration
from .system import System

Array = np.ndarray[Any, np.dtype[Any]]

STALE = 8
"""Products a step above which an adaptive preconditioner is made anew; beyond it factoring costs less."""
WORTHWHILE = 10
"""Block products a block below which factoring anew costs less than conjugate gradients: then `adaptive` is direct."""
TIRED = 30
"""Damped steps after which Newton's are tried, and again after as many more."""
TRUSTED = 1e-6
"""The smallest pivot, of a matrix with unit diagonal, that a factor in single precision can tell from rounding."""
SINGULAR = 1e-15
"""The same for double precision."""


class Solver:
    """Iterates from a state: direct steps, or conjugate gradients with a factor that is used again; damped on need."""

    def __init__(
        self,
        graph: Graph,
        problem: Problem,
        precision: Precision,
        clock: Clock,
        damped: bool,
        tolerance: float,
        forcing: float,
    ) -> None:
        self.graph, self.problem, self.precision, self.clock = graph, problem, precision, clock
        self.damped, self.tolerance, self.forcing = damped, tolerance, forcing
        self.damping = Damping(FIRST if damped else 0.0)
        self.short = Shortening(over=damped)
        self.tired = 0
        self.history: list[Iteration] = []
        self.direct = precision.policy == "direct" or (precision.policy == "adaptive" and self._cheap())
        self.system = System(problem, "fp64" if self.direct else precision.jacobian)

    def _cheap(self) -> bool:
        symbolic = self.problem.symbolic
        each = np.diff(symbolic.starts)
        return bool((each * (each + 1)).sum() < 2 * WORTHWHILE * max(symbolic.blocks, 1))

    @property
    def factor_bytes(self) -> int:
        matrix = self.system.matrix
        return 0 if matrix is None else matrix.lower.nbytes + matrix.diagonal.nbytes

    def fall_back(self) -> None:
        """From here on, factor at each step in double precision."""
        self.direct = True
        self.system = System(self.problem, "fp64")

    def run(self, state: State, iterations: int) -> tuple[State, float, float, bool]:
        clock, problem, short = self.clock, self.problem, self.short
        cost = first = problem.cost(state)
        if not np.isfinite(cost):
            raise RunError("the cost where optimisation begins is not finite", advice="begin elsewhere: initial=...")
        stale, moved, converged, rejections = True, True, False, 0
        # A step that was too long, to be made shorter.
        kept: tuple[Array, int, float] | None = None
        clock.charge("update")
        while len(self.history) < iterations:
            if self.tired >= TIRED:
                state, cost, moved, converged = self._newton(state, cost, iterations)
                if converged:
                    break
            rescale = stale or self.direct
            if (moved or rescale) and kept is None:
                self.system.linearise(state, rescale=rescale)
                if not self.history and not self.damped:
                    self._check_columns()
                clock.charge("linearise")
            factored = False
            if kept is None and self.direct:
                self._factor_direct()
                factored = True
            elif kept is None and stale:
                if not self._precondition():
                    self.fall_back()
                    continue
                factored, stale = True, False
            whole, products, gain = self._step(cost) if kept is None else kept
            kept = None
            trial = problem.moved(state, short.fraction * whole if short.fraction < 1 else whole)
            after = problem.cost(trial)
            decrease = cost - after
            rejected = not (after <= cost and short.enough(decrease, gain))
            clock.charge("update")
            self.history.append(
                Iteration(cost if rejected else after, products, self.damping.value, rejected, factored, self.direct)
            )
            self.tired += self.damping.value > 0 and self.precision.policy != "static"
            if rejected:
                rejections += 1
                moved = False
                # What is predicted is below what double precision resolves: this is the optimum. A step that is damped
                # much predicts little anywhere.
                if self.damping.value < FIRST and (
                    gain < max(1e-13 * cost, self._rounding(state, cost))
                    or (self.direct and -decrease <= 1e-12 * cost and gain < self.tolerance * cost)
                ):
                    converged = True
                    break
                if not short.over:
                    short.refused()
                    if self.direct and not short.over:
                        # The same step again, half as long.
                        kept = whole, 0, gain
                        continue
                if short.over:
                    self.damping.refused(gain)
                if self.precision.policy == "adaptive" and not self.direct:
                    if rejections >= 3 or products >= 2 * STALE:
                        self.fall_back()
                        moved = True
                    else:
                        stale = True
                elif self.damping.value > MOST:
                    break
                continue
            rejections = 0
            self.damping.accepted(decrease, gain)
            part = short.fraction
            if not short.over:
                short.accepted(decrease, cost)
                if short.over:
                    self.damping.value = FIRST
            state, moved, before, cost = trial, True, cost, after
            if gain < self._rounding(state, before):
                converged = True
                break
            if decrease <= self.tolerance * before:
                if self.precision.policy == "adaptive" and not self.direct and gain > 10 * self.tolerance * before:
                    self.fall_back()
                    continue
                if part == 1 and self.damping.settled(10 * self.tolerance * before):
                    converged = True
                    break
            else:
                self.damping.gained()
            stale = self.precision.policy == "adaptive" and products > STALE
        return state, cost, first, converged

    def _newton(self, state: State, cost: float, iterations: int) -> tuple[State, float, bool, bool]:
        """Newton's steps while they lower the cost; state, cost, that both are new, and whether this is the optimum."""
        if not self.direct:
            self.fall_back()
        self.tired = 0
        newton, system = Newton(self.problem), self.system

        def factor(shift: float) -> Matrix | None:
            return system.matrix if system.factorise("fp64", shift=shift, floor=SINGULAR)[0] < 0 else None

        while len(self.history) < iterations:
            system.linearise(state, rescale=True)
            self.clock.charge("linearise")
            assert system.scale is not None
            found = newton.step(state, cost, gradient=system.gradient, scale=system.scale, factor=factor)
            self.clock.charge("conjugate")
            if found is None:
                break
            self.history.append(Iteration(found.cost, found.products, newton.mu, False, True, True))
            decrease, state, cost = cost - found.cost, found.state, found.cost
            if decrease <= self.tolerance * cost:
                return state, cost, True, found.whole
        return state, cost, True, False

    def _rounding(self, state: State, cost: float) -> float:
        """Chi2 of poses that are off by their last digits: what remains of measurements that agree."""
        weight = self.problem.weight
        if cost > 1e-3 * len(weight):
            return 0.0
        off = 4 * np.finfo(float).eps * (1 + np.abs(state.translation).max())
        return float(off * off * np.vdot(weight, weight))

    def _check_columns(self) -> None:
        empty = (self.system.squares.reshape(len(self.problem.fixed), -1)[:, : self.problem.size] == 0).any(1)
        empty &= ~self.problem.fixed
        if empty.any():
            raise diagnose.singular(self.graph, int(self.problem.symbolic.order[np.flatnonzero(empty)[0]]))

    def _factor_direct(self) -> None:
        """Factor the damped equations; where damping is too little for their rank, with more of it."""
        while True:
            column, _ = self.system.factorise("fp64", shift=self.damping.value, floor=SINGULAR)
            if column < 0:
                break
            if not 0 < self.damping.value < 1:
                pose = int(self.problem.symbolic.order[column])
                raise diagnose.singular(self.graph, pose, direction=" in a direction")
            self.damping.value = max(4 * self.damping.value, 1e-9)
        self.clock.charge("factor")

    def _precondition(self) -> bool:
        """Factor for conjugate gradients, with a shift where a pivot breaks down; False if an adaptive one gives up."""
        kind, shift = self.precision.factor, 0.0
        floor = 1e-7 if kind == "fp64" else 1e-6
        system = self.system
        column, least = system.factorise(kind, shift=shift)
        if self.precision.policy == "adaptive" and (column >= 0 or least < TRUSTED):
            self.clock.charge("factor")
            return False
        while column >= 0:
            shift = max(4 * shift, floor)
            if shift > 1:
                raise RunError(
                    f"no factor in {kind}, whatever the shift",
                    allowed="a graph that is not this ill-conditioned",
                    advice="use precision='double', or 'mixed-adaptive'",
                )
            column, least = system.factorise(kind, shift=shift)
        assert system.matrix is not None
        system.preconditioner = system.matrix.packed(self.precision.solve, self.precision.vectors)
        self.clock.charge("factor")
        return True

    def _step(self, cost: float) -> tuple[Array, int, float]:
        """The step, the products it took, and the predicted decrease of the cost."""
        system, problem = self.system, self.problem
        assert system.scale is not None
        right = -system.gradient * system.scale
        if self.direct:
            assert system.matrix is not None
            step = right.copy()
            system.matrix.solve(step)
            self.clock.charge("conjugate")
            return step * system.scale, 0, float(right @ step)
        kind = self.precision
        jacobian = system.jacobian
        if kind.product in ("fp16", "bf16"):
            jacobian = converted(jacobian, kind.product, problem.size)
        assert system.preconditioner is not None
        x, products, gain = conjugate_gradients(
            jacobian,
            right.astype(STORED[kind.vectors]),
            ends=problem.ends,
            factor=system.preconditioner,
            damping=self.damping.value,
            forcing=self.forcing,
            limit=500,
            tolerance=1e-6 if kind.vectors == "fp32" else 1e-12,
            negligible=1e-9 * 0.5 * cost,
        )
        self.clock.charge("conjugate")
        return x * system.scale, products, 2 * gain
