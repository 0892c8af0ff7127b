r"""Smoothing along a line, as a law with noise: second differences are small, `D x = 0` with noise `R`.

$R_i$ is the variance of the i-th second difference if neighbours are correlated with $\alpha$ and next ones with
$\alpha^2$: $v_0 + 4 v_1 + v_2 - 4 \alpha s_0 s_1 + 2 \alpha^2 s_0 s_2 - 4 \alpha s_1 s_2$, with $s = \sqrt v$.
The system `D V D^T + R` has five diagonals, so that a line of n cells costs n steps and no matrix is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._arrays import Array, namespace


@dataclass(frozen=True)
class Smoothed:
    """A Gaussian (..., n) after smoothing along its last axis, whose covariance is known by its products."""

    mean: Array
    variance: Array
    _prior: Array
    _bands: tuple[list[Array], list[Array], list[Array]]

    def times(self, vector: Array) -> Array:
        """The covariance times vectors (..., n)."""
        inner = _solve(self._bands, _difference(self._prior * vector))
        return self._prior * (vector - _spread(inner))


def smooth(mean: Array, variance: Array, *, correlation: float) -> Smoothed:
    """Smooth lines (..., n) of 3 cells or more, where all cells are there."""
    bands = _factorise(*_system(variance, correlation))
    weights = _solve(bands, _difference(mean))
    held = mean - variance * _spread(weights)
    main, first, second = _inverse_bands(bands)
    quadratic = _quadratic(main, first, second)
    smaller = namespace(mean).clip(variance - variance**2 * quadratic, 0.0, None)
    return Smoothed(held, smaller, variance, bands)


def _difference(field: Array) -> Array:
    """`D x`: (..., n) -> (..., n - 2)."""
    return field[..., :-2] - 2.0 * field[..., 1:-1] + field[..., 2:]


def _spread(weights: Array) -> Array:
    """`D^T w`: (..., n - 2) -> (..., n)."""
    return _shifted(weights, 0) - 2.0 * _shifted(weights, 1) + _shifted(weights, 2)


def _shifted(weights: Array, at: int) -> Array:
    xp = namespace(weights)
    zero = xp.zeros_like(weights[..., :1])
    return xp.concatenate([zero] * at + [weights] + [zero] * (2 - at), -1)


def _system(variance: Array, correlation: float) -> tuple[Array, Array, Array]:
    """The diagonals 0, 1 and 2 of `D V D^T + R`."""
    xp = namespace(variance)
    deviation = xp.sqrt(variance)
    v0, v1, v2 = variance[..., :-2], variance[..., 1:-1], variance[..., 2:]
    s0, s1, s2 = deviation[..., :-2], deviation[..., 1:-1], deviation[..., 2:]
    own = v0 + 4.0 * v1 + v2
    noise = own - 4.0 * correlation * (s0 * s1 + s1 * s2) + 2.0 * correlation**2 * s0 * s2
    return own + noise, -2.0 * (v1[..., :-1] + v2[..., :-1]), v2[..., :-2]


def _factorise(main: Array, first: Array, second: Array) -> tuple[list[Array], list[Array], list[Array]]:
    """`L D L^T` with two bands below the diagonal, cell by cell, all lines at once."""
    size = main.shape[-1]
    pivots: list[Array] = []
    near: list[Array] = []
    far: list[Array] = []
    for i in range(size):
        pivot = main[..., i]
        if i >= 1:
            pivot = pivot - near[i - 1] ** 2 * pivots[i - 1]
        if i >= 2:
            pivot = pivot - far[i - 2] ** 2 * pivots[i - 2]
        # No variance in three neighbours: nothing there can move, whatever the weight.
        pivot = pivot + (pivot <= 0.0) * (1.0 - pivot)
        pivots.append(pivot)
        if i + 1 < size:
            below = first[..., i]
            if i >= 1:
                below = below - near[i - 1] * far[i - 1] * pivots[i - 1]
            near.append(below / pivot)
        if i + 2 < size:
            far.append(second[..., i] / pivot)
    return pivots, near, far


def _solve(bands: tuple[list[Array], list[Array], list[Array]], right: Array) -> Array:
    pivots, near, far = bands
    size = len(pivots)
    down: list[Array] = []
    for i in range(size):
        value = right[..., i]
        if i >= 1:
            value = value - near[i - 1] * down[i - 1]
        if i >= 2:
            value = value - far[i - 2] * down[i - 2]
        down.append(value)
    up: list[Array] = [down[i] / pivots[i] for i in range(size)]
    for i in range(size - 2, -1, -1):
        value = up[i] - near[i] * up[i + 1]
        if i + 2 < size:
            value = value - far[i] * up[i + 2]
        up[i] = value
    return namespace(right).stack(up, -1)


def _inverse_bands(bands: tuple[list[Array], list[Array], list[Array]]) -> tuple[Array, Array, Array]:
    """Diagonals 0, 1 and 2 of the inverse (Takahashi's recursion), padded with zeros to one length."""
    pivots, near, far = bands
    size = len(pivots)
    zero = 0.0 * pivots[0]
    main, first, second = [zero] * (size + 2), [zero] * (size + 2), [zero] * (size + 2)
    for i in range(size - 1, -1, -1):
        a = near[i] if i + 1 < size else zero
        b = far[i] if i + 2 < size else zero
        first[i] = -a * main[i + 1] - b * first[i + 1]
        second[i] = -a * first[i + 1] - b * main[i + 2]
        main[i] = 1.0 / pivots[i] - a * first[i] - b * second[i]
    xp = namespace(zero)
    return xp.stack(main[:size], -1), xp.stack(first[:size], -1), xp.stack(second[:size], -1)


def _quadratic(main: Array, first: Array, second: Array) -> Array:
    """The diagonal of `D^T T D` for a symmetric `T` of which three diagonals are given."""
    ends = _shifted(main, 0) + 4.0 * _shifted(main, 1) + _shifted(main, 2)
    return ends - 4.0 * (_shifted(first, 1) + _shifted(first, 2)) + 2.0 * _shifted(second, 2)
