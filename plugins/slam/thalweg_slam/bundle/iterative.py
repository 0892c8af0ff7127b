"""The damped step by conjugate gradients on the normal equations, which are never formed."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from .equations import Equations
from .half import CARRIERS
from .normal import LANES, product, scaled
from .problem import Array


@dataclass(frozen=True)
class Matrix:
    """The scaled Jacobian in the precision of the products."""

    equations: Equations
    stored: Array
    prior: Array

    @classmethod
    def of(cls, equations: Equations, *, products: str) -> Matrix:
        """J S, whose columns have length 1, rounded to `products`."""
        sightings = equations.sightings
        out = np.empty(equations.jacobian.shape, CARRIERS[products])
        accumulator = np.float64 if products == "float64" else np.float32
        scale = equations.of_cameras
        of_points = np.ascontiguousarray(equations.of_points.T, dtype=accumulator)
        scaled(equations.jacobian, sightings.start, sightings.point, scale.astype(accumulator), of_points, out)
        prior = equations.prior
        if prior.size:
            prior = prior * scale.reshape(-1, 1) * scale.reshape(1, -1)
        return cls(equations, out, prior.astype(accumulator))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LANES)
def _precondition(blocks: Array, cubes: Array, p: Array, q: Array, zp: Array, zq: Array) -> None:  # pragma: no cover
    for c in range(len(p)):
        for a in range(p.shape[1]):
            total = p[0, 0] * 0
            for b in range(p.shape[1]):
                total += blocks[c, a, b] * p[c, b]
            zp[c, a] = total
    c0, c1, c2, c3, c4, c5 = cubes[0], cubes[1], cubes[2], cubes[3], cubes[4], cubes[5]
    q0, q1, q2, z0, z1, z2 = q[0], q[1], q[2], zq[0], zq[1], zq[2]
    for i in range(q.shape[1]):
        z0[i] = c0[i] * q0[i] + c1[i] * q1[i] + c3[i] * q2[i]
        z1[i] = c1[i] * q0[i] + c2[i] * q1[i] + c4[i] * q2[i]
        z2[i] = c3[i] * q0[i] + c4[i] * q1[i] + c5[i] * q2[i]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LANES)
def _dot(a: Array, b: Array) -> float:  # pragma: no cover
    total = 0.0
    x, y = a.reshape(-1), b.reshape(-1)
    for i in range(len(x)):
        total += np.float64(x[i]) * np.float64(y[i])
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LANES)
def _add(target: Array, source: Array, gain: float) -> None:  # pragma: no cover
    x, y = target.reshape(-1), source.reshape(-1)
    g = x.dtype.type(gain)
    for i in range(len(x)):
        x[i] += g * y[i]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LANES)
def _turn(direction: Array, z: Array, gain: float) -> None:  # pragma: no cover
    x, y = direction.reshape(-1), z.reshape(-1)
    g = x.dtype.type(gain)
    for i in range(len(x)):
        x[i] = y[i] + g * x[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _conjugate(
    j: Array, start: Array, point: Array, prior: Array, blocks: Array, cubes: Array,
    gp: Array, gq: Array, xp: Array, xq: Array, damping: float, forcing: float, floor: float, limit: int,
) -> int:  # pragma: no cover  # fmt: skip
    """(J^T J + prior + damping) x = g, from x = 0; g is left as the residual. Returns the iterations."""
    zp, zq = np.empty_like(gp), np.empty_like(gq)
    up, uq = np.empty_like(gp), np.empty_like(gq)
    _precondition(blocks, cubes, gp, gq, zp, zq)
    p, q = zp.copy(), zq.copy()
    size = _dot(gp, zp) + _dot(gq, zq)
    begin, model = size, 0.0
    if not size > 0:
        return 0
    for k in range(1, limit + 1):
        bend = product(j, start, point, p, q, up, uq) + damping * (_dot(p, p) + _dot(q, q))
        if len(prior):
            more = np.dot(prior, p.reshape(-1)).reshape(p.shape)
            bend += _dot(more, p)
            _add(up, more, 1.0)
        if not bend > 0:
            return k - 1
        _add(up, p, damping)
        _add(uq, q, damping)
        length = size / bend
        _add(xp, p, length)
        _add(xq, q, length)
        _add(gp, up, -length)
        _add(gq, uq, -length)
        gain = 0.5 * length * size
        model += gain
        if k * gain < forcing * model or gain < floor:
            return k
        _precondition(blocks, cubes, gp, gq, zp, zq)
        new = _dot(gp, zp) + _dot(gq, zq)
        if not new > 1e-14 * begin:
            return k
        _turn(p, zp, new / size)
        _turn(q, zq, new / size)
        size = new
    return limit


def iterative_step(
    system: Matrix, *, damping: float, cost: float, forcing: float = 0.1, limit: int = 500
) -> tuple[Array, Array, int] | None:
    """Steps of cameras (C, d) and points (Q, 3), and the iterations that they took; None if nothing was gained.

    Ends when k (last gain of the model) < forcing (whole gain), Nash and Sofer's rule.
    """
    equations, sightings = system.equations, system.equations.sightings
    accumulator = np.float64 if system.stored.dtype == np.float64 else np.float32
    scale, d = equations.of_cameras, equations.blocks.shape[1]
    own = equations.blocks * scale[:, :, None] * scale[:, None, :]
    if system.prior.size:
        for c in range(len(own)):
            own[c] += system.prior[c * d : c * d + d, c * d : c * d + d]
    own[:, range(d), range(d)] += damping + (np.einsum("cii->ci", own) == 0)
    cubes = _inverse_cubes(equations.cubes * _pairs(equations.of_points), damping)
    gp = np.ascontiguousarray(-equations.hill * scale, dtype=accumulator)
    gq = np.ascontiguousarray((-equations.slope * equations.of_points).T, dtype=accumulator)
    xp, xq = np.zeros_like(gp), np.zeros_like(gq)
    taken = _conjugate(
        system.stored, sightings.start, sightings.point, system.prior, np.linalg.inv(own).astype(accumulator),
        np.ascontiguousarray(cubes.T, dtype=accumulator), gp, gq, xp, xq, damping, forcing, 1e-9 * abs(cost), limit,
    )  # fmt: skip
    if not taken or not (np.isfinite(xp).all() and np.isfinite(xq).all()):
        return None
    return xp.astype(np.float64) * scale, xq.T.astype(np.float64) * equations.of_points, int(taken)


def _pairs(scale: Array) -> Array:
    x, y, z = scale.T
    return np.stack([x * x, y * x, y * y, z * x, z * y, z * z], axis=1)


def _inverse_cubes(cubes: Array, damping: float) -> Array:
    """Inverses of symmetric 3 x 3 matrices plus damping, (Q, 6) to (Q, 6)."""
    a, b, c, d, e, f = cubes.T
    a, c, f = a + damping, c + damping, f + damping
    i0, i1, i3 = c * f - e * e, d * e - b * f, b * e - c * d
    whole = a * i0 + b * i1 + d * i3
    safe = np.where(np.abs(whole) > 1e-30, whole, 1.0)
    return np.asarray(np.stack([i0, i1, a * f - d * d, i3, b * d - a * e, a * c - b * b], axis=1) / safe[:, None])
