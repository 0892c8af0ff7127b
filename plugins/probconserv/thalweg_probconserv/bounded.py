r"""Laws and bounds together: the nearest field, in the metric of the variance, that keeps both.

    min sum (x - mu)^2 / v   with   G x = b,  lower <= x <= upper
    x(l) = clip(mu - v G^T l, lower, upper)      r(l) = G x(l) - b - R l

Where no cell is in two rows, each `r_j` depends on `l_j` only and falls with it: one monotone equation per row, solved
by Newton's method inside a bracket. Each step is a sum over cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from thalweg import HandshakeError, RunError

from ._arrays import Array, Plain, double, is_tensor, namespace, plain
from ._checks import check_laws, check_shapes, check_values, named, row_covariance
from .engine import masked
from .rows import Dense, Operator, operator, sparse

TOLERANCE = 1e-14
"""Of `sum |g x| + |b|`, at which a row is held."""
INFEASIBLE = 1e-9
"""By which a target may be outside what the bounds allow: rounding of what both are computed from."""
STEPS = 200


def update_within(
    mean: Array,
    variance: Array,
    *,
    lower: Any,
    upper: Any,
    rows: Any = None,
    targets: Any = None,
    noise: Any = 0.0,
    share: Array | None = None,
) -> Array:
    """The mean (..., n) that keeps to the bounds and obeys the rows (k, n), none of which share a cell.

    A row whose target is NaN says nothing; the noise of a row that was multiplied by `share` counts with its square.

    Bounds are numbers or arrays like the mean. Cells of no variance are only clipped. Missing cells stay missing.
    Gradients are those of the exact solution, by one differentiable step at the end.

    Raises `HandshakeError` for rows that share cells, and `RunError` for a target that no field within the bounds has.
    """
    like = mean if is_tensor(mean) else None
    mean, variance = double(mean, like=like), double(variance, like=like)
    lower, upper = double(lower, like=mean), double(upper, like=mean)
    xp = namespace(mean)
    there = ~xp.isnan(mean)
    check_values(mean, variance, there)
    refuse_disorder(lower, upper)
    if rows is None:
        return xp.clip(mean, lower, upper)
    targets = double(targets, like=like)
    check_shapes(mean, variance, rows, targets, None)
    check_laws(rows, targets)
    covariance = row_covariance(noise, rows.shape[-2])
    matrix = alone(operator(rows, like=like))
    known, free, _ = masked(mean, variance, None, there)
    assert free is not None
    spread = double(covariance, like=mean) if share is None else double(covariance, like=mean) * share**2
    equation = Equation(matrix, known, free, lower, upper, targets, spread)
    value = equation.root()
    if is_tensor(mean) and (mean.requires_grad or variance.requires_grad or targets.requires_grad):
        # Differentiating one Newton step at the root gives the gradient of the root.
        slope = plain(equation.slope(value))
        value = value + equation.residual(value) / double(np.where(slope > 0.0, slope, np.inf), like=mean)
    held = equation.field(value)
    return held if bool(there.all()) else xp.where(there, held, mean)


def refuse_disorder(lower: Any, upper: Any) -> None:
    """Raise `HandshakeError` for numbers of which the lower is above the upper, `RunError` for fields."""
    if not bool((lower > upper).any()):
        return
    if lower.ndim or upper.ndim:
        raise RunError(
            "a lower bound is above the upper one at some cells",
            allowed="lower <= upper at each cell",
            advice="look at the fields that give the bounds",
        )
    raise HandshakeError(
        f"the lower bound {float(lower):g} is above the upper one, {float(upper):g}",
        allowed="lower <= upper, of all laws about a variable together",
        advice="change the bounds of one of the laws",
    )


def alone(rows: Operator) -> Operator:
    """The operator, if no cell is in two of its rows. Raises `HandshakeError`."""
    if isinstance(rows, Dense) and rows.matrix.ndim == 2 and rows.count > 1:
        rows = sparse(plain(rows.matrix))
    if rows.count > 1 and not rows.disjoint:
        raise HandshakeError(
            "bounds are held together with laws that share cells",
            allowed="one linear law, or several on cells of their own, beside the bounds",
            advice="hold one of the linear laws, or leave the bounds out",
        )
    return rows


class Equation:
    """`r(l) = 0` for each row and each item of a batch, all at once."""

    def __init__(
        self, rows: Operator, mean: Array, variance: Array, lower: Array, upper: Array, targets: Array, noise: Array
    ) -> None:
        self.rows, self.mean, self.variance = rows, mean, variance
        self.lower, self.upper, self.targets, self.noise = lower, upper, targets, noise

    def field(self, value: Array) -> Array:
        """`x(l)`."""
        moved = self.mean - self.variance * self.rows.back(value)
        return namespace(moved).clip(moved, self.lower, self.upper)

    def residual(self, value: Array) -> Array:
        """`r(l)`, which falls with each `l`; 0 of a row that says nothing."""
        found = self.rows.times(self.field(value)) - self.targets - self.noise * value
        xp = namespace(found)
        return xp.where(xp.isnan(found), xp.zeros_like(found), found)

    def slope(self, value: Array) -> Array:
        """`-dr/dl`: over the cells that are between their bounds."""
        moved = self.mean - self.variance * self.rows.back(value)
        xp = namespace(moved)
        free = xp.where((moved > self.lower) & (moved < self.upper), self.variance, xp.zeros_like(self.variance))
        return self._squares(free) + self.noise

    def _squares(self, variance: Array) -> Array:
        found = self.rows.gram(variance)
        return found if self.rows.disjoint else found[..., 0]

    def root(self) -> Array:
        """`l` (..., k), without gradients. Raises `RunError`."""

        def of(function: Callable[[Array], Array]) -> Callable[[Plain], Plain]:
            return lambda value: plain(function(double(value, like=self.mean)))

        def no_gradient() -> Plain:
            start = np.zeros(plain(self.targets).shape)
            start = np.zeros(
                np.broadcast_shapes(start.shape, plain(self.residual(double(start, like=self.mean))).shape)
            )
            magnitude = plain(self.rows.sizes(abs(self.mean))) + np.abs(np.nan_to_num(plain(self.targets)))
            self._refuse_unreachable(magnitude)
            stiffness = plain(self._squares(self.variance) + self.noise)
            return newton(
                of(self.residual), of(self.slope), start, stiffness=stiffness, tolerance=TOLERANCE * magnitude
            )

        if is_tensor(self.mean):
            import torch

            with torch.no_grad():
                return double(no_gradient(), like=self.mean)
        return no_gradient()

    def _refuse_unreachable(self, magnitude: Plain) -> None:
        """A target must lie between the row's values at its bounds."""
        xp = namespace(self.mean)
        still = xp.clip(self.mean, self.lower, self.upper)
        ends = []
        for sign in (1.0, -1.0):
            # The rows' own sign decides which bound is the lower end; half the line at a time avoids inf - inf.
            weight = self.rows.back(double(np.full(self.rows.count, sign), like=self.mean))
            moving = (self.variance > 0.0) & (weight != 0.0)
            bound = xp.where(weight > 0.0, self.upper + 0.0 * self.mean, self.lower + 0.0 * self.mean)
            open_ended = xp.where(moving & xp.isinf(bound), xp.ones_like(self.mean), xp.zeros_like(self.mean))
            end = xp.where(moving & ~xp.isinf(bound), bound, still)
            reach = plain(self.rows.times(end))
            ends.append((reach, plain(self.rows.sizes(open_ended)) > 0.0))
        targets, slack = plain(self.targets), INFEASIBLE * magnitude
        noisy = plain(self.noise) > 0.0
        above = (targets > ends[0][0] + slack) & ~ends[0][1] & ~noisy
        below = (targets < ends[1][0] - slack) & ~ends[1][1] & ~noisy
        bad = above | below
        if bad.any():
            row = np.flatnonzero(bad.reshape(-1, bad.shape[-1]).any(0))
            item = tuple(np.argwhere(bad)[0])
            low, high = (np.broadcast_to(ends[i][0], bad.shape)[item] for i in (1, 0))
            target = np.broadcast_to(targets, bad.shape)[item]
            raise RunError(
                f"{named(row)} cannot be held within the bounds: the target is {target:.6g}",
                allowed=f"from {low:.6g} to {high:.6g} there, where cells of no variance stay",
                advice="widen the bounds, change the target, or give the law noise",
            )


def newton(
    residual: Callable[[Plain], Plain],
    slope: Callable[[Plain], Plain],
    start: Plain,
    *,
    stiffness: Plain,
    tolerance: Plain,
) -> Plain:
    """Where falling functions are zero: Newton's method, halving a bracket wherever it would leave it.

    `stiffness` is the steepest slope, so that no root is nearer than `|r| / stiffness`. Raises `RunError`.
    """
    value = start
    found = residual(value)
    low, high = np.full(start.shape, -np.inf), np.full(start.shape, np.inf)
    least = np.abs(found) / np.where(stiffness > 0.0, stiffness, 1.0)
    for step in range(STEPS):
        done = np.abs(found) <= tolerance
        if done.all():
            return value
        low, high = np.where(found > 0.0, value, low), np.where(found < 0.0, value, high)
        tilt = slope(value)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ahead = value + np.where(tilt > 0.0, found / tilt, np.sign(found) * least * 2.0 ** min(step, 60))
            inside = (ahead > low) & (ahead < high)
            middle = 0.5 * (low + high)
            # On an unbounded side, a step beyond what the steepest slope asks for, doubled each time.
            outward = value + np.sign(found) * least * 2.0 ** min(step, 60)
            other = np.where(np.isfinite(middle), middle, outward)
        # Every third step halves: piecewise linear functions can send Newton's method to and fro.
        bisect = ~inside | ((step % 3 == 2) & np.isfinite(middle))
        following = np.where(done, value, np.where(bisect, other, ahead))
        if (following == value).all():
            return value
        value, found = following, residual(following)
    worst = np.flatnonzero(
        (np.abs(found) > 1e-9 * (1e-300 + tolerance / TOLERANCE)).reshape(-1, start.shape[-1]).any(0)
    )
    if len(worst):
        raise RunError(
            f"{named(worst)} cannot be held within the bounds",
            allowed="targets that a field within the bounds has",
            advice="widen the bounds, or give the law noise",
        )
    return value
