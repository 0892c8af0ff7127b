"""Residuals and Jacobians of observations sorted by camera, by tiles that stay in the cache.

Arrays of observations have these along their last axis, so that the compiler can work on many at once.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import numba
import numpy as np

from .. import compiling  # noqa: F401
from .problem import Array

TILE = 128
BAL, PINHOLE, STEREO, BROWN = 0, 1, 2, 3


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="never")
def _in_camera(turn: Array, move: Array, points: Array, point: Array, y: Array) -> None:  # pragma: no cover
    """y[0:3] = R X + t, y[3:6] = R X."""
    r00, r01, r02 = turn[0, 0], turn[0, 1], turn[0, 2]
    r10, r11, r12 = turn[1, 0], turn[1, 1], turn[1, 2]
    r20, r21, r22 = turn[2, 0], turn[2, 1], turn[2, 2]
    a, b, c, u, v, w = y[0], y[1], y[2], y[3], y[4], y[5]
    for i in range(len(point)):
        at = point[i]
        x0, x1, x2 = points[at, 0], points[at, 1], points[at, 2]
        u[i] = r00 * x0 + r01 * x1 + r02 * x2
        v[i] = r10 * x0 + r11 * x1 + r12 * x2
        w[i] = r20 * x0 + r21 * x1 + r22 * x2
        a[i] = u[i] + move[0]
        b[i] = v[i] + move[1]
        c[i] = w[i] + move[2]


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="never")
def _image(model: int, k: Array, own: Array, y: Array, n: int, image: Array) -> None:  # pragma: no cover
    """Where points of a tile are seen, px."""
    x0, x1, x2 = y[0], y[1], y[2]
    u, v = image[0], image[1]
    if model == BAL:
        f, k1, k2 = own[0], own[1], own[2]
        for i in range(n):
            inverse = -1.0 / x2[i]
            p, q = x0[i] * inverse, x1[i] * inverse
            s = p * p + q * q
            gain = f * (1.0 + s * (k1 + k2 * s))
            u[i] = gain * p
            v[i] = gain * q
    elif model == PINHOLE:
        for i in range(n):
            inverse = 1.0 / x2[i]
            u[i] = k[0] * x0[i] * inverse + k[2]
            v[i] = k[1] * x1[i] * inverse + k[3]
    elif model == STEREO:
        third = image[2]
        for i in range(n):
            inverse = 1.0 / x2[i]
            u[i] = k[0] * x0[i] * inverse + k[2]
            v[i] = k[0] * (x0[i] - k[4]) * inverse + k[2]
            third[i] = k[1] * x1[i] * inverse + k[3]
    else:
        for i in range(n):
            inverse = 1.0 / x2[i]
            p, q = x0[i] * inverse, x1[i] * inverse
            s = p * p + q * q
            radial = 1.0 + s * (k[3] + s * (k[4] + s * k[5]))
            u[i] = k[0] * (p * radial + 2.0 * k[6] * p * q + k[7] * (s + 2.0 * p * p)) + k[1]
            v[i] = k[0] * (q * radial + 2.0 * k[7] * p * q + k[6] * (s + 2.0 * q * q)) + k[2]


@numba.njit(cache=True, nogil=True, error_model="numpy", inline="never")
def _slope(model: int, k: Array, own: Array, y: Array, n: int, slope: Array, inner: Array) -> None:  # pragma: no cover
    """slope[row, j] = d image[row] / d X_c[j]; inner[row, j] = d image[row] / d (f, k1, k2)[j]."""
    x0, x1, x2 = y[0], y[1], y[2]
    for row in range(slope.shape[0]):
        slope[row] = 0.0
    a0, a1, a2 = slope[0, 0], slope[0, 1], slope[0, 2]
    b0, b1, b2 = slope[1, 0], slope[1, 1], slope[1, 2]
    if model == BAL:
        f, k1, k2 = own[0], own[1], own[2]
        f0, g0, h0 = inner[0, 0], inner[0, 1], inner[0, 2]
        f1, g1, h1 = inner[1, 0], inner[1, 1], inner[1, 2]
        for i in range(n):
            inverse = -1.0 / x2[i]
            p, q = x0[i] * inverse, x1[i] * inverse
            s = p * p + q * q
            gain = 1.0 + s * (k1 + k2 * s)
            bend = 2.0 * f * (k1 + 2.0 * k2 * s)
            pp, qq, pq = f * gain + bend * p * p, f * gain + bend * q * q, bend * p * q
            a0[i] = pp * inverse
            a1[i] = pq * inverse
            a2[i] = (pp * p + pq * q) * inverse
            b0[i] = pq * inverse
            b1[i] = qq * inverse
            b2[i] = (pq * p + qq * q) * inverse
            f0[i], g0[i], h0[i] = gain * p, f * s * p, f * s * s * p
            f1[i], g1[i], h1[i] = gain * q, f * s * q, f * s * s * q
    elif model == PINHOLE:
        for i in range(n):
            inverse = 1.0 / x2[i]
            a0[i] = k[0] * inverse
            a2[i] = -k[0] * x0[i] * inverse * inverse
            b1[i] = k[1] * inverse
            b2[i] = -k[1] * x1[i] * inverse * inverse
    elif model == STEREO:
        c1, c2 = slope[2, 1], slope[2, 2]
        for i in range(n):
            inverse = 1.0 / x2[i]
            a0[i] = k[0] * inverse
            a2[i] = -k[0] * x0[i] * inverse * inverse
            b0[i] = k[0] * inverse
            b2[i] = -k[0] * (x0[i] - k[4]) * inverse * inverse
            c1[i] = k[1] * inverse
            c2[i] = -k[1] * x1[i] * inverse * inverse
    else:
        for i in range(n):
            inverse = 1.0 / x2[i]
            p, q = x0[i] * inverse, x1[i] * inverse
            s = p * p + q * q
            radial = 1.0 + s * (k[3] + s * (k[4] + s * k[5]))
            bend = 2.0 * (k[3] + s * (2.0 * k[4] + 3.0 * s * k[5]))
            pp = k[0] * (radial + bend * p * p + 2.0 * k[6] * q + 6.0 * k[7] * p)
            pq = k[0] * (bend * p * q + 2.0 * k[6] * p + 2.0 * k[7] * q)
            qq = k[0] * (radial + bend * q * q + 2.0 * k[7] * p + 6.0 * k[6] * q)
            a0[i] = pp * inverse
            a1[i] = pq * inverse
            a2[i] = -(pp * p + pq * q) * inverse
            b0[i] = pq * inverse
            b1[i] = qq * inverse
            b2[i] = -(pq * p + qq * q) * inverse


@numba.njit(cache=True, nogil=True, error_model="numpy")
def residuals(
    model: int,
    k: Array,
    turns: Array,
    moves: Array,
    inner: Array,
    points: Array,
    start: Array,
    point: Array,
    measured: Array,
    out: Array,
) -> None:  # pragma: no cover
    """out (m, O) = image - measured, px."""
    y = np.empty((6, TILE))
    image = np.empty((len(out), TILE))
    for c in range(len(turns)):
        for s in range(start[c], start[c + 1], TILE):
            e = min(s + TILE, start[c + 1])
            _in_camera(turns[c], moves[c], points, point[s:e], y)
            _image(model, k, inner[c], y, e - s, image)
            for row in range(len(out)):
                difference, found, wanted = out[row, s:e], image[row], measured[row, s:e]
                for i in range(e - s):
                    difference[i] = found[i] - wanted[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def jacobian(
    model: int,
    k: Array,
    turns: Array,
    moves: Array,
    inner: Array,
    points: Array,
    start: Array,
    point: Array,
    weight: Array,
    free: Array,
    out: Array,
) -> None:  # pragma: no cover
    """out (m, d + 3, O): rows of (rotation, translation, f k1 k2 of the camera; point), times the weights.

    A camera turns by R <- exp(w) R, so that d X_c = w x (R X). Columns of a camera that is not free are zero.
    """
    rows, columns = out.shape[0], out.shape[1]
    own = columns - 9
    y = np.empty((6, TILE))
    slope = np.empty((rows, 3, TILE))
    bend = np.empty((rows, 3, TILE))
    for c in range(len(turns)):
        r = turns[c]
        for s in range(start[c], start[c + 1], TILE):
            e = min(s + TILE, start[c + 1])
            n = e - s
            _in_camera(r, moves[c], points, point[s:e], y)
            _slope(model, k, inner[c], y, n, slope, bend)
            w = weight[s:e]
            v0, v1, v2 = y[3], y[4], y[5]
            for row in range(rows):
                a0, a1, a2 = slope[row, 0], slope[row, 1], slope[row, 2]
                for i in range(n):
                    a0[i] *= w[i]
                    a1[i] *= w[i]
                    a2[i] *= w[i]
                for j in range(3):
                    to, r0, r1, r2 = out[row, columns - 3 + j, s:e], r[0, j], r[1, j], r[2, j]
                    for i in range(n):
                        to[i] = a0[i] * r0 + a1[i] * r1 + a2[i] * r2
                if not free[c]:
                    for j in range(columns - 3):
                        out[row, j, s:e] = 0.0
                    continue
                t0, t1, t2 = out[row, 0, s:e], out[row, 1, s:e], out[row, 2, s:e]
                m0, m1, m2 = out[row, 3, s:e], out[row, 4, s:e], out[row, 5, s:e]
                for i in range(n):
                    t0[i] = v1[i] * a2[i] - v2[i] * a1[i]
                    t1[i] = v2[i] * a0[i] - v0[i] * a2[i]
                    t2[i] = v0[i] * a1[i] - v1[i] * a0[i]
                    m0[i] = a0[i]
                    m1[i] = a1[i]
                    m2[i] = a2[i]
                for j in range(own):
                    to, b = out[row, 6 + j, s:e], bend[row, j]
                    for i in range(n):
                        to[i] = b[i] * w[i]
