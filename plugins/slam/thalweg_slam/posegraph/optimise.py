"""The least squares of a pose graph, by Gauss-Newton or Levenberg-Marquardt in a choice of precisions."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from thalweg import OptionError, RunError

from ..graph import Graph
from . import diagnose
from .conjugate import conjugate_gradients
from .damping import FIRST, MOST, Damping, Shortening
from .factor import STORED, Matrix, Packed, converted, flat
from .initial import begin
from .newton import Newton
from .outliers import unpulled
from .precision import Precision
from .precision import precision as chosen
from .problem import Problem, State, prepare
from .robust import Robust
from .symbolic import analyse

Array = np.ndarray[Any, np.dtype[Any]]
Method = Literal["gauss-newton", "levenberg-marquardt"]
Gauge = Literal["first", "each"]
"""Which poses stay where they are: those that the graph fixes, or else the first; or the first of each loose part."""

STALE = 8
"""Products a step above which an adaptive preconditioner is made anew; beyond it factoring costs less."""
WORTHWHILE = 10
"""Block products a block below which factoring anew costs less than conjugate gradients: then `adaptive` is direct."""
TIRED = 30
"""Damped steps after which Newton's are tried, and again after as many more."""
TRUSTED = 1e-6
"""The smallest pivot, of a matrix with unit diagonal, that a factor in single precision can tell from rounding."""
RANK = 1e-9
"""Of information with unit diagonal: the least eigenvalue of a direction that is measured."""
SINGULAR = 1e-15
"""The same for double precision."""


@dataclass(frozen=True)
class Iteration:
    cost: float
    """chi2 after the iteration."""
    products: int
    """Conjugate-gradient products; 0 for a direct step."""
    damping: float
    rejected: bool
    factored: bool
    direct: bool


@dataclass
class Timing:
    """Processor seconds of this thread."""

    prepare: float = 0.0
    """Checks, roots of the information, order of elimination, structure of the factor."""
    initial: float = 0.0
    linearise: float = 0.0
    factor: float = 0.0
    conjugate: float = 0.0
    """Conjugate gradients, or the solve of a direct step."""
    update: float = 0.0
    """Moving the poses, and the cost there."""

    @property
    def total(self) -> float:
        return self.prepare + self.linearise + self.factor + self.conjugate + self.update


@dataclass(frozen=True)
class Result:
    graph: Graph
    """The graph with its poses where the optimum is."""
    chi2: float
    """Sum over edges of e^T Omega e, or of its loss."""
    chi2_initial: float
    history: tuple[Iteration, ...]
    timing: Timing
    precision: Precision
    converged: bool
    factor_bytes: int
    """Of the factor in the precision of the factorisation."""
    freedom: int = 0
    """Numbers measured less numbers sought: what chi2 is near where noise and information agree."""

    @property
    def poses(self) -> tuple[Array, Array]:
        """Rotations and translations."""
        return self.graph.rotation, self.graph.translation

    @property
    def products(self) -> int:
        return sum(each.products for each in self.history)


class _Clock:
    def __init__(self) -> None:
        self.timing = Timing()
        self.last = time.thread_time()

    def charge(self, name: str) -> None:
        now = time.thread_time()
        setattr(self.timing, name, getattr(self.timing, name) + now - self.last)
        self.last = now


@dataclass
class _System:
    """The scaled normal equations S J^T J S x = -S J^T r at one state, and a factor of them or of earlier ones."""

    problem: Problem
    kind: str
    jacobian: Array = field(init=False)
    gradient: Array = field(init=False)
    squares: Array = field(init=False)
    scale: Array | None = None
    narrow: Array | None = None
    matrix: Matrix | None = None
    preconditioner: Packed | None = None

    def __post_init__(self) -> None:
        size, problem = self.problem.size, self.problem
        self.jacobian = flat(2 * len(problem.ends), size * size, STORED[self.kind])
        self.gradient = np.empty(len(problem.fixed) * problem.lanes)
        self.squares = np.empty_like(self.gradient)

    def linearise(self, state: State, *, rescale: bool) -> None:
        self.problem.linearise(state, jacobian=self.jacobian, gradient=self.gradient, squares=self.squares)
        if rescale or self.scale is None:
            self.scale = 1 / np.sqrt(np.where(self.squares > 0, self.squares, 1.0))
        _scale(self.problem, self.jacobian, self.scale)

    def factorise(self, kind: str, *, shift: float, floor: float = 0.0) -> tuple[int, float]:
        rounded = kind if kind in ("fp16", "bf16") else None
        held = "fp64" if kind == "fp64" else "fp32"
        if self.matrix is None or self.matrix.lower.dtype != STORED[held]:
            self.matrix = Matrix.empty(self.problem.symbolic, self.problem.size, held)
        problem = self.problem
        self.matrix.assemble(self.jacobian, ends=problem.ends, places=problem.places, idle=problem.fixed)
        return self.matrix.factorise(shift=shift, rounded=rounded, floor=floor)


def optimise(
    graph: Graph,
    precision: str | Precision = "mixed-adaptive",
    *,
    method: Method = "gauss-newton",
    initial: str = "auto",
    robust: Robust | None = None,
    gauge: Gauge = "first",
    tolerance: float = 1e-8,
    iterations: int = 1000,
    forcing: float = 0.05,
) -> Result:
    """Poses that minimise the sum over edges of e^T Omega e, with e = Log(Z^-1 T_i^-1 T_j).

    Begins at the chordal solution; with a robust loss where outliers have not pulled (`outliers.unpulled`); or where
    `initial` says. Stops when an iteration lowers the sum by less than `tolerance` of it; `converged` says whether it
    did. Raises SourceError where the graph is wrong (edges and poses by name), RunError where the measurements do not
    determine it.
    """
    wanted = chosen(precision)
    if method not in ("gauss-newton", "levenberg-marquardt"):
        raise OptionError(f"method {method!r}", allowed="gauss-newton, levenberg-marquardt", advice="take one of these")
    clock = _Clock()
    diagnose.check_shapes(graph)
    own = graph
    if initial == "auto" and robust is not None and robust.loss != "none":
        graph = unpulled(graph, robust, precision=wanted, method=method, gauge=gauge, forcing=forcing)
        initial = "given"
        clock.charge("initial")
    elif initial == "auto":
        initial = "chordal"
    diagnose.check_finite(graph, poses=initial == "given")
    diagnose.check_units(graph)
    symbolic = analyse(len(graph), graph.edges)
    fixed = diagnose.gauge(graph, gauge, symbolic=symbolic)
    problem, found = prepare(graph, symbolic=symbolic, fixed=fixed, robust=robust)
    if found.any():
        diagnose.check_information(graph, found)
    clock.charge("prepare")
    state = problem.state(*begin(graph, problem, initial=initial))
    clock.charge("initial")
    solver = _Solver(graph, problem, wanted, clock, method == "levenberg-marquardt", tolerance, forcing)
    state, cost, first, converged = solver.run(state, iterations)
    rotation, translation = problem.poses(state)
    held = fixed if problem.size == 3 else fixed[:, None]
    rotation = np.where(held, graph.rotation, rotation)
    result = Result(
        graph=dataclasses.replace(own, rotation=rotation, translation=translation, given=True),
        chi2=cost,
        chi2_initial=first,
        history=tuple(solver.history),
        timing=clock.timing,
        precision=wanted,
        converged=converged,
        factor_bytes=solver.factor_bytes,
        freedom=_freedom(graph, problem),
    )
    if cost > result.freedom:
        diagnose.check_order(graph)
    return result


def _freedom(graph: Graph, problem: Problem) -> int:
    """Directions that are measured, less those sought: of information that is singular its rank counts.

    An edge between two poses that are fixed has nothing to be fitted by, and counts as measured.
    """
    size, free = problem.size, int((~problem.fixed).sum())
    partial = problem.edge_order[(np.einsum("eii->ei", problem.weight) == 0).any(axis=1)]
    information = graph.information[partial]
    diagonal = np.einsum("eii->ei", information)
    # Metres and radians may differ by any factor.
    weight = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values = np.linalg.eigvalsh(information / (weight[:, :, None] * weight[:, None, :]))
    return size * (len(graph.edges) - len(partial) - free) + int((values > RANK).sum())


class _Solver:
    def __init__(
        self,
        graph: Graph,
        problem: Problem,
        precision: Precision,
        clock: _Clock,
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
        self.system = _System(problem, "fp64" if self.direct else precision.jacobian)

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
        self.system = _System(self.problem, "fp64")

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
                    advice="precision='double', or 'mixed-adaptive'",
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


def _scale(problem: Problem, jacobian: Array, scale: Array) -> None:
    from .factor import scale_columns

    scale_columns(problem.size, problem.lanes, problem.ends, jacobian, scale)
