"""Diagonal blocks of the normal equations, and their right side, from a Jacobian sorted by camera."""

# mypy: disable-error-code="untyped-decorator, call-arg"

from __future__ import annotations

import numba
import numpy as np

from .half import narrow, widen
from .problem import Array
from .projection import TILE

# Sums may be split among lanes; NaN and infinity keep their meaning.
LANES = {"reassoc", "contract", "nsz"}


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LANES)
def normal(
    j: Array, r: Array, start: Array, point: Array, blocks: Array, hill: Array, cubes: Array, slope: Array
) -> None:  # pragma: no cover
    """blocks (C, d, d) and cubes (Q, 6) of J^T J; hill (C, d) and slope (Q, 3) of J^T r; all float64.

    A cube is the lower triangle 00, 10, 11, 20, 21, 22.
    """
    rows, d = j.shape[0], j.shape[1] - 3
    cubes[:] = 0.0
    slope[:] = 0.0
    for c in range(len(start) - 1):
        block, top = blocks[c], hill[c]
        block[:] = 0.0
        top[:] = 0.0
        for s in range(start[c], start[c + 1], TILE):
            e = min(s + TILE, start[c + 1])
            at = point[s:e]
            for row in range(rows):
                error = r[row, s:e]
                for a in range(d):
                    left = j[row, a, s:e]
                    total = 0.0
                    for i in range(e - s):
                        total += left[i] * error[i]
                    top[a] += total
                    for b in range(a + 1):
                        right = j[row, b, s:e]
                        total = 0.0
                        for i in range(e - s):
                            total += left[i] * right[i]
                        block[a, b] += total
                x, y, z = j[row, d, s:e], j[row, d + 1, s:e], j[row, d + 2, s:e]
                for i in range(e - s):
                    cube, low = cubes[at[i]], slope[at[i]]
                    x0, y0, z0, e0 = np.float64(x[i]), np.float64(y[i]), np.float64(z[i]), error[i]
                    cube[0] += x0 * x0
                    cube[1] += y0 * x0
                    cube[2] += y0 * y0
                    cube[3] += z0 * x0
                    cube[4] += z0 * y0
                    cube[5] += z0 * z0
                    low[0] += x0 * e0
                    low[1] += y0 * e0
                    low[2] += z0 * e0
        for a in range(d):
            for b in range(a):
                block[b, a] = block[a, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def scaled(
    j: Array, start: Array, point: Array, of_cameras: Array, of_points: Array, out: Array
) -> None:  # pragma: no cover
    """out = J S, column by column, rounded to the type of `out`."""
    rows, d = j.shape[0], j.shape[1] - 3
    zero = out[0, 0, 0]
    for c in range(len(start) - 1):
        s, e = start[c], start[c + 1]
        at = point[s:e]
        for row in range(rows):
            for a in range(d):
                to, source, gain = out[row, a, s:e], j[row, a, s:e], of_cameras[c, a]
                for i in range(e - s):
                    to[i] = narrow(source[i] * gain, zero)
            for a in range(3):
                to, source, gains = out[row, d + a, s:e], j[row, d + a, s:e], of_points[a]
                for i in range(e - s):
                    to[i] = narrow(source[i] * gains[at[i]], zero)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LANES)
def product(
    j: Array, start: Array, point: Array, p: Array, q: Array, up: Array, uq: Array
) -> float:  # pragma: no cover
    """up, uq = J^T J (p, q), with p, up (C, d) of cameras and q, uq (3, Q) of points; returns |J (p, q)|^2.

    One pass over J, which is read from memory once.
    """
    rows, d = j.shape[0], j.shape[1] - 3
    image = np.empty((rows, TILE), p.dtype)
    spread = np.empty((3, TILE), p.dtype)
    x, y, z = spread[0], spread[1], spread[2]
    first, second, third = q[0], q[1], q[2]
    u0, u1, u2 = uq[0], uq[1], uq[2]
    up[:] = 0
    uq[:] = 0
    norm = 0.0
    for c in range(len(start) - 1):
        for s in range(start[c], start[c + 1], TILE):
            e = min(s + TILE, start[c + 1])
            n = e - s
            at = point[s:e]
            for i in range(n):
                k = at[i]
                x[i] = first[k]
                y[i] = second[k]
                z[i] = third[k]
            for row in range(rows):
                seen = image[row]
                j0, j1, j2 = j[row, d, s:e], j[row, d + 1, s:e], j[row, d + 2, s:e]
                for i in range(n):
                    seen[i] = widen(j0[i]) * x[i] + widen(j1[i]) * y[i] + widen(j2[i]) * z[i]
                for a in range(0, d, 3):
                    k0, k1, k2 = j[row, a, s:e], j[row, a + 1, s:e], j[row, a + 2, s:e]
                    p0, p1, p2 = p[c, a], p[c, a + 1], p[c, a + 2]
                    for i in range(n):
                        seen[i] += widen(k0[i]) * p0 + widen(k1[i]) * p1 + widen(k2[i]) * p2
            x[:n] = 0
            y[:n] = 0
            z[:n] = 0
            for row in range(rows):
                seen = image[row]
                total = seen[0] * 0
                for i in range(n):
                    total += seen[i] * seen[i]
                norm += total
                for a in range(0, d, 3):
                    k0, k1, k2 = j[row, a, s:e], j[row, a + 1, s:e], j[row, a + 2, s:e]
                    t0, t1, t2 = seen[0] * 0, seen[0] * 0, seen[0] * 0
                    for i in range(n):
                        t0 += widen(k0[i]) * seen[i]
                        t1 += widen(k1[i]) * seen[i]
                        t2 += widen(k2[i]) * seen[i]
                    up[c, a] += t0
                    up[c, a + 1] += t1
                    up[c, a + 2] += t2
                j0, j1, j2 = j[row, d, s:e], j[row, d + 1, s:e], j[row, d + 2, s:e]
                for i in range(n):
                    x[i] += widen(j0[i]) * seen[i]
                    y[i] += widen(j1[i]) * seen[i]
                    z[i] += widen(j2[i]) * seen[i]
            for i in range(n):
                k = at[i]
                u0[k] += x[i]
                u1[k] += y[i]
                u2[k] += z[i]
    return norm
