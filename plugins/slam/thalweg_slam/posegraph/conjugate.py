"""Conjugate gradients on the normal equations, without forming them, with a factor as preconditioner."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .factor import Packed, back_and_forth
from .lanes import PACKED, PADDED, normal

Array = np.ndarray[Any, np.dtype[Any]]


def conjugate_gradients(
    jacobian: Array,
    right: Array,
    *,
    ends: Array,
    factor: Packed,
    damping: float,
    forcing: float,
    limit: int,
    tolerance: float,
    negligible: float,
) -> tuple[Array, int, float]:
    """(J^T J + damping) x = right; gives x, the products made, and by how much x lowers the model.

    Stops after k products when the last lowered the model by d and k d < forcing * all so far (Nash and Sofer 1990,
    doi:10.1016/0167-6377(90)90056-B), or d < negligible, or the preconditioned residual has shrunk to `tolerance`.
    """
    size, symbolic = factor.size, factor.symbolic
    x, count, gain = _conjugate_gradients(
        PACKED[size],
        PADDED[size],
        jacobian,
        ends,
        factor.lower,
        factor.diagonal,
        symbolic.starts,
        symbolic.rows,
        right,
        damping,
        forcing,
        limit,
        tolerance,
        negligible,
    )
    return x, int(count), float(gain)


@njit(cache=True, nogil=True, fastmath=True)
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for n in range(len(a)):
        total += np.float64(a[n]) * np.float64(b[n])
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _conjugate_gradients(  # type: ignore[no-untyped-def]
    layout,
    padded,
    jacobian,
    ends,
    lower,
    diagonal,
    starts,
    rows,
    right,
    damping,
    forcing,
    limit,
    tolerance,
    negligible,
):
    size = len(right)
    x, g, z = np.empty(size, right.dtype), np.empty(size, right.dtype), np.empty(size, right.dtype)
    p, q = np.empty(size, right.dtype), np.empty(size, right.dtype)
    for n in range(size):
        x[n] = 0
        g[n] = z[n] = right[n]
    back_and_forth(layout, padded, lower, diagonal, starts, rows, z)
    for n in range(size):
        p[n] = z[n]
    rz = _dot(g, z)
    begin = rz
    gain = 0.0
    k = 0
    while k < limit and rz > 0:
        k += 1
        for n in range(size):
            q[n] = 0
        norm = 0.0
        for e in range(len(ends)):
            norm += np.float64(normal(layout, q, p, jacobian, e, ends[e, 0], ends[e, 1]))
        if damping > 0:
            mu = right.dtype.type(damping)
            norm += damping * _dot(p, p)
            for n in range(size):
                q[n] += mu * p[n]
        if not norm > 0:
            break
        a = rz / norm
        step = right.dtype.type(a)
        for n in range(size):
            x[n] += step * p[n]
            g[n] -= step * q[n]
        lowered = 0.5 * a * rz
        gain += lowered
        if k * lowered < forcing * gain or lowered < negligible:
            break
        for n in range(size):
            z[n] = g[n]
        back_and_forth(layout, padded, lower, diagonal, starts, rows, z)
        after = _dot(g, z)
        b = right.dtype.type(after / rz)
        rz = after
        if rz <= tolerance * tolerance * begin:
            break
        for n in range(size):
            p[n] = z[n] + b * p[n]
    return x, k, gain
