"""Bundle adjustment: Levenberg-Marquardt in the precision that each operation needs."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from thalweg import EstimateError, OptionError

from .centring import centred
from .diagnosis import behind, inspect
from .direct import Pattern, direct_step
from .equations import Equations
from .iterative import Matrix, iterative_step
from .problem import Array, Bundle
from .robust import Kernel, Loss
from .state import Sightings, State

Precision = Literal["double", "mixed", "mixed-adaptive"]
Linear = Literal["schur", "cgnr"]
Products = Literal["float64", "float32", "bfloat16", "float16"]

LEVELS: dict[tuple[Linear, Precision], tuple[Products, ...]] = {
    ("schur", "double"): ("float64",),
    ("schur", "mixed"): ("float32",),
    ("schur", "mixed-adaptive"): ("float32", "float64"),
    ("cgnr", "double"): ("float64",),
    ("cgnr", "mixed"): ("float16",),
    ("cgnr", "mixed-adaptive"): ("float16", "float32", "float64"),
}
"""What the Jacobian is stored in; the next, when a step was refused."""
EXACT = 1e-12
"""A cost per observation, in squared sigmas, that is as good as none."""
LEAST, LEAST_SINGLE = 1e-12, 1e-7
"""Damping below which it is rounding, in double and in single precision: from further down the way back takes many
refused steps."""


@dataclass(frozen=True)
class Adjustment:
    """An adjusted bundle, and how it came about."""

    bundle: Bundle
    start: float
    """Cost before: half the sum of (robust) squares in sigmas, and of priors."""
    cost: float
    converged: bool
    reason: str
    costs: Array
    """(iterations,): cost after each, also of those refused."""
    refused: Array
    """(iterations,) bool."""
    damping: Array
    """(iterations,)."""
    products: tuple[str, ...]
    """(iterations,): what the Jacobian was stored in."""
    inner: Array
    """(iterations,): iterations of conjugate gradients; zeros with `schur`."""
    behind: Array
    """Numbers of observations whose point ended behind the camera."""
    seconds: dict[str, float] = field(default_factory=dict)
    """CPU seconds: `linearise`, `solve`, `update`."""

    @property
    def iterations(self) -> int:
        return len(self.costs)

    @property
    def fallbacks(self) -> int:
        """How often more digits were needed."""
        return sum(a != b for a, b in zip(self.products, self.products[1:], strict=False))


def adjust(
    bundle: Bundle,
    *,
    precision: Precision = "mixed-adaptive",
    solver: Linear = "schur",
    products: Products | None = None,
    robust: Kernel = "squared",
    width: float = 1.0,
    tolerance: float = 1e-6,
    iterations: int = 50,
    damping: float = 1e-4,
    check: bool = True,
) -> Adjustment:
    r"""Minimise $\frac12 \sum \rho(|r|^2 / \sigma^2)$ + priors over cameras and points.

    `schur` eliminates the points and factors what is left of the cameras; `cgnr` multiplies by J and its transpose
    only. Residuals, costs, updates and the test whether a step is accepted are float64 throughout. `double` stores the
    Jacobian in float64; `mixed` in float32 (`schur`) or, scaled by columns, float16 (`cgnr`), with sums in float32;
    `mixed-adaptive` goes on with more digits when a step is refused. `products` stores it in one precision whatever
    `precision` says, for ablations. Ends when the cost falls by less than `tolerance` of itself. Warns of points
    that end behind a camera; `check=False` leaves out that, and `inspect`. Raises `SourceError` for a bundle at fault,
    `EstimateError` for what came of it.
    """
    _check_options(precision, solver, products)
    loss = Loss(robust, width)
    if check:
        inspect(bundle)
    bundle, home = centred(bundle)
    sightings = Sightings.of(bundle)
    pattern = Pattern.of(sightings) if solver == "schur" else None
    levels = (products,) if products else LEVELS[solver, precision]
    level, growth = 0, 2.0
    state = State.of(bundle)
    residual = sightings.residuals(state)
    cost = begin = _cost(sightings, state, residual, loss)
    if not np.isfinite(cost):
        raise EstimateError(
            f"the cost at the start is {cost!r}",
            allowed="finite residuals",
            advice="run thalweg_slam.bundle.inspect(bundle): it names what is not finite, or in a camera's own plane",
        )
    seconds = dict.fromkeys(("linearise", "solve", "update"), 0.0)
    costs: list[float] = []
    refused: list[bool] = []
    dampings: list[float] = []
    used: list[str] = []
    inner: list[int] = []
    equations: Equations | None = None
    system: Matrix | None = None
    reason, converged = f"{iterations} iterations were not enough", False
    while len(costs) < iterations:
        clock = time.process_time()
        if equations is None:
            stored = np.float64 if levels[level] == "float64" else np.float32
            equations = Equations.at(sightings, state, residual, loss=loss, dtype=stored)
            system = None if pattern else Matrix.of(equations, products=levels[level])
        seconds["linearise"] += (now := time.process_time()) - clock
        taken = 0
        if pattern:
            step = direct_step(equations, pattern, damping=damping)
        else:
            assert system is not None
            found = iterative_step(system, damping=damping, cost=cost)
            step, taken = (found[:2], found[2]) if found else (None, 0)
        seconds["solve"] += (clock := time.process_time()) - now
        trial = np.inf
        if step is not None:
            predicted = equations.predicted(*step, damping)
            moved = state.moved(*step)
            new = sightings.residuals(moved)
            trial = _cost(sightings, moved, new, loss)
        seconds["update"] += time.process_time() - clock
        fall = cost - trial
        accepted = bool(np.isfinite(trial) and fall >= 0)
        costs.append(trial if accepted else cost)
        refused.append(not accepted)
        dampings.append(damping)
        used.append(levels[level])
        inner.append(taken)
        if accepted:
            state, residual, cost, equations, growth = moved, new, trial, None, 2.0
            ratio = fall / predicted if predicted > 0 else 0.0
            damping *= max(1.0 / 3.0, 1.0 - (2.0 * min(ratio, 1.0) - 1.0) ** 3)
            damping = max(damping, LEAST if levels[level] == "float64" else LEAST_SINGLE)
            if cost <= EXACT * len(bundle.observations):
                converged, reason = True, "the residuals are zero up to rounding"
                break
            if fall <= tolerance * abs(cost + fall):
                converged, reason = True, f"the cost fell by less than {tolerance:g} of itself"
                break
        elif step is not None and predicted <= 1e-12 * abs(cost):
            converged, reason = True, "no step lowers the cost by more than rounding"
            break
        elif level + 1 < len(levels):
            level, equations = level + 1, None
        else:
            damping, growth = damping * growth, growth * 2.0
            if damping > 1e12:
                reason = "no step lowers the cost, however short"
                break
    adjusted = home(sightings.result(state))
    late = behind(adjusted) if check else ()
    for each in late:
        warnings.warn(f"{each.text}; do: {each.advice}", stacklevel=2)
    numbers = late[0].numbers if late else np.zeros(0, int)
    return Adjustment(
        adjusted, begin, cost, converged, reason, np.array(costs), np.array(refused, bool),
        np.array(dampings), tuple(used), np.array(inner, int), numbers, seconds,
    )  # fmt: skip


def _cost(sightings: Sightings, state: State, residual: Array, loss: Loss) -> float:
    flat = residual.reshape(-1)
    own = 0.5 * float(flat @ flat) if loss.kernel == "squared" else loss.value((residual**2).sum(0))
    return own + sightings.prior_cost(state)


def _check_options(precision: str, solver: str, products: str | None) -> None:
    for name, value, kind in (("precision", precision, Precision), ("solver", solver, Linear)):
        if value not in get_args(kind):
            raise OptionError(f"{name} = {value!r}", allowed=", ".join(get_args(kind)))
    allowed = get_args(Products) if solver == "cgnr" else ("float64", "float32")
    if products is not None and products not in allowed:
        raise OptionError(
            f"products = {products!r} with solver = {solver!r}",
            allowed=", ".join(allowed),
            advice="use halves with solver='cgnr', which multiplies and does not eliminate",
        )
