"""Elimination of the points: the reduced system of the cameras, block by block."""

# mypy: disable-error-code="untyped-decorator, call-arg"

from __future__ import annotations

import numba
import numpy as np

from .normal import LANES
from .problem import Array
from .projection import TILE
from .vectors import subtract_6, subtract_9


@numba.njit(cache=True, nogil=True, error_model="numpy")
def eliminate(
    j: Array,
    cubes: Array,
    slope: Array,
    point_start: Array,
    sighting: Array,
    camera: Array,
    scale: Array,
    rows_start: Array,
    columns: Array,
    blocks: Array,
    top: Array,
    roots: Array,
    low: Array,
) -> int:  # pragma: no cover
    """blocks -= W V^-1 W^T (scaled), top -= W V^-1 slope; roots (Q, 6) = L^-1 with V = L L^T, low = L^-1 slope.

    `cubes` are V, damped. Blocks (lower triangle, (d, padded) each) stand by rows as `rows_start` and `columns` say;
    without `columns`, all of the triangle is there. Returns the first point whose V is not positive definite, or -1.
    """
    rows, d = j.shape[0], j.shape[1] - 3
    padded = 8 if d == 6 else 12
    longest = 0
    for p in range(len(point_start) - 1):
        longest = max(longest, point_start[p + 1] - point_start[p])
    work = np.zeros(longest * 3 * padded, blocks.dtype)
    number = blocks.dtype.type
    for p in range(len(point_start) - 1):
        v = cubes[p]
        l00 = np.sqrt(v[0])
        l10 = v[1] / l00
        l20 = v[3] / l00
        l11 = np.sqrt(v[2] - l10 * l10)
        l21 = (v[4] - l20 * l10) / l11
        l22 = np.sqrt(v[5] - l20 * l20 - l21 * l21)
        if not (l00 > 0 and l11 > 0 and l22 > 0):
            return p
        i00, i11, i22 = 1.0 / l00, 1.0 / l11, 1.0 / l22
        i10 = -l10 * i00 * i11
        i21 = -l21 * i11 * i22
        i20 = -(l20 * i00 + l21 * i10) * i22
        root = roots[p]
        root[0], root[1], root[2], root[3], root[4], root[5] = i00, i10, i11, i20, i21, i22
        h0 = i00 * slope[p, 0]
        h1 = i10 * slope[p, 0] + i11 * slope[p, 1]
        h2 = i20 * slope[p, 0] + i21 * slope[p, 1] + i22 * slope[p, 2]
        low[p, 0], low[p, 1], low[p, 2] = h0, h1, h2
        s, e = point_start[p], point_start[p + 1]
        f00, f10, f11 = number(i00), number(i10), number(i11)
        f20, f21, f22 = number(i20), number(i21), number(i22)
        for k in range(s, e):
            o = sighting[k]
            c = camera[o]
            at = (k - s) * 3 * padded
            for a in range(3 * padded):
                work[at + a] = 0
            for row in range(rows):
                x, y, z = number(j[row, d, o]), number(j[row, d + 1, o]), number(j[row, d + 2, o])
                z0 = f00 * x
                z1 = f10 * x + f11 * y
                z2 = f20 * x + f21 * y + f22 * z
                for a in range(d):
                    value = number(j[row, a, o] * scale[c, a])
                    work[at + a] += value * z0
                    work[at + padded + a] += value * z1
                    work[at + 2 * padded + a] += value * z2
            for a in range(d):
                top[c, a] -= work[at + a] * h0 + work[at + padded + a] * h1 + work[at + 2 * padded + a] * h2
            begin = rows_start[c]
            for other in range(s, k + 1):
                mate = camera[sighting[other]]
                if len(columns) == 0:
                    slot = begin + mate
                else:
                    first, last = begin, rows_start[c + 1]
                    while last - first > 1:
                        middle = (first + last) // 2
                        if columns[middle] <= mate:
                            first = middle
                        else:
                            last = middle
                    slot = first
                if d == 6:
                    subtract_6(blocks, slot * d * padded, work, at, (other - s) * 3 * padded)
                else:
                    subtract_9(blocks, slot * d * padded, work, at, (other - s) * 3 * padded)
    return -1


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=LANES)
def substitute(
    j: Array, start: Array, point: Array, step: Array, roots: Array, slope: Array, out: Array
) -> None:  # pragma: no cover
    """out (Q, 3): steps of the points, given those of the cameras."""
    rows, d = j.shape[0], j.shape[1] - 3
    image = np.empty(TILE)
    out[:] = slope
    for c in range(len(start) - 1):
        for s in range(start[c], start[c + 1], TILE):
            e = min(s + TILE, start[c + 1])
            n = e - s
            at = point[s:e]
            for row in range(rows):
                image[:n] = 0.0
                for a in range(d):
                    column, value = j[row, a, s:e], step[c, a]
                    for i in range(n):
                        image[i] += column[i] * value
                x, y, z = j[row, d, s:e], j[row, d + 1, s:e], j[row, d + 2, s:e]
                for i in range(n):
                    to = out[at[i]]
                    to[0] += x[i] * image[i]
                    to[1] += y[i] * image[i]
                    to[2] += z[i] * image[i]
    for p in range(len(out)):
        r, g = roots[p], out[p]
        h0 = r[0] * g[0]
        h1 = r[1] * g[0] + r[2] * g[1]
        h2 = r[3] * g[0] + r[4] * g[1] + r[5] * g[2]
        g[0] = -(r[0] * h0 + r[1] * h1 + r[3] * h2)
        g[1] = -(r[2] * h1 + r[4] * h2)
        g[2] = -(r[5] * h2)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def dense(blocks: Array, diagonal: Array, d: int, out: Array) -> None:  # pragma: no cover
    """out (C d, C d), lower triangle: blocks of a full triangle, with `diagonal` (C, d, d) added."""
    padded = 8 if d == 6 else 12
    count = len(diagonal)
    for c in range(count):
        for mate in range(c + 1):
            at = (c * (c + 1) // 2 + mate) * d * padded
            for a in range(d):
                for b in range(d):
                    out[c * d + a, mate * d + b] = blocks[at + a * padded + b]
        for a in range(d):
            for b in range(d):
                out[c * d + a, c * d + b] += diagonal[c, a, b]
