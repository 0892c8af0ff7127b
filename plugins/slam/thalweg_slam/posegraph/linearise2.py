"""Residuals of relative poses in the plane, and their Jacobians: see `linearise3`.

Poses are (x, y, angle) and move by T Exp(v, w). Where an edge is `vector` the error is the translation and the angle of
Z^-1 T_i^-1 T_j, without the logarithm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from .robust import influence

Array = np.ndarray[Any, np.dtype[Any]]
SIZE, LANES = 3, 4


@njit(cache=True, nogil=True, error_model="numpy")
def retract(angle, t, step, fixed):  # type: ignore[no-untyped-def]
    """T Exp(step); `step` has 4 numbers a pose."""
    new_angle, new_t = np.empty(angle.shape), np.empty(t.shape)
    for n in range(len(angle)):
        new_angle[n], new_t[n, 0], new_t[n, 1] = angle[n], t[n, 0], t[n, 1]
        if fixed[n]:
            continue
        u, v, w = step[n * LANES], step[n * LANES + 1], step[n * LANES + 2]
        if abs(w) < 1e-4:
            along, across = 1 - w * w / 6, 0.5 * w
        else:
            along, across = math.sin(w) / w, (1 - math.cos(w)) / w
        u, v = along * u - across * v, across * u + along * v
        c, s = math.cos(angle[n]), math.sin(angle[n])
        new_t[n, 0] += c * u - s * v
        new_t[n, 1] += s * u + c * v
        turned = angle[n] + w
        new_angle[n] = turned - 2 * math.pi * math.floor((turned + math.pi) / (2 * math.pi))
    return new_angle, new_t


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def _error(angle, t, frame, i, j, z, vector):  # type: ignore[no-untyped-def]
    """Error (x, y, angle), and T_i^-1 t_j. `frame` has cosine and sine of each pose; z is (x, y, cos, sin, angle)."""
    if i == j:
        x, y, turn = t[j, 0], t[j, 1], angle[j]
    else:
        u, v = t[j, 0] - t[i, 0], t[j, 1] - t[i, 1]
        x, y = frame[i, 0] * u + frame[i, 1] * v, -frame[i, 1] * u + frame[i, 0] * v
        turn = angle[j] - angle[i]
    u, v = x - z[0], y - z[1]
    u, v = z[2] * u + z[3] * v, -z[3] * u + z[2] * v
    turn -= z[4]
    turn -= 2 * math.pi * math.floor((turn + math.pi) / (2 * math.pi))
    if vector:
        return u, v, turn, x, y, 1.0
    half = 0.5 * turn
    stretch = 1 - turn * turn / 12 if abs(turn) < 1e-3 else half / math.tan(half)
    return stretch * u + half * v, -half * u + stretch * v, turn, x, y, stretch


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def frames(angle):  # type: ignore[no-untyped-def]
    frame = np.empty((len(angle), 2))
    for n in range(len(angle)):
        frame[n, 0], frame[n, 1] = math.cos(angle[n]), math.sin(angle[n])
    return frame


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def cost(angle, t, frame, ends, z, weight, vector, loss, scale, robust):  # type: ignore[no-untyped-def]
    """The sum over edges of the loss of e^T Omega e."""
    total = 0.0
    for e in range(len(ends)):
        x, y, turn, _, _, _ = _error(angle, t, frame, ends[e, 0], ends[e, 1], z[e], vector[e])
        u = weight[e, 0, 0] * x + weight[e, 0, 1] * y + weight[e, 0, 2] * turn
        v = weight[e, 1, 1] * y + weight[e, 1, 2] * turn
        w = weight[e, 2, 2] * turn
        total += influence(loss if robust[e] else 0, scale, u * u + v * v + w * w)[0]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def linearise(  # type: ignore[no-untyped-def]
    angle, t, frame, ends, z, weight, vector, loss, scale, robust, fixed, jacobian, gradient, squares
):
    """Jacobians by rows (edge, side, 3, 3), their J^T r and the squares of their columns (4 numbers a pose)."""
    for n in range(len(gradient)):
        gradient[n] = squares[n] = 0.0
    local, residual = np.empty((3, 3)), np.empty(3)
    for e in range(len(ends)):
        i, j = ends[e, 0], ends[e, 1]
        x, y, turn, along, across, stretch = _error(angle, t, frame, i, j, z[e], vector[e])
        residual[0] = weight[e, 0, 0] * x + weight[e, 0, 1] * y + weight[e, 0, 2] * turn
        residual[1] = weight[e, 1, 1] * y + weight[e, 1, 2] * turn
        residual[2] = weight[e, 2, 2] * turn
        square = residual[0] ** 2 + residual[1] ** 2 + residual[2] ** 2
        root = math.sqrt(influence(loss if robust[e] else 0, scale, square)[1])
        if vector[e]:
            p, o = math.cos(turn), math.sin(turn)
            u, v = 0.0, 0.0
        else:
            # J_r^-1 = [[f, (1 - a) v / w - J v / 2], [0, 1]], f = a I + w J / 2, a = stretch.
            p, o = stretch, 0.5 * turn
            part = turn / 12 if abs(turn) < 1e-3 else (1 - stretch) / turn
            u, v = part * x + 0.5 * y, part * y - 0.5 * x
        for m in range(3):
            first = weight[e, m, 0] if m == 0 else 0.0
            second = weight[e, m, 1] if m <= 1 else 0.0
            local[m, 0] = first * p + second * o
            local[m, 1] = second * p - first * o
            local[m, 2] = first * u + second * v + weight[e, m, 2]
        if i == j:
            c, s, free_i = 1.0, 0.0, 0.0
        else:
            # The rotation of T_j^-1 T_i.
            c = frame[i, 0] * frame[j, 0] + frame[i, 1] * frame[j, 1]
            s = frame[j, 1] * frame[i, 0] - frame[j, 0] * frame[i, 1]
            free_i = 0.0 if fixed[i] else root
        free_j = 0.0 if fixed[j] else root
        # Ad = [[R, -J t], [0, 1]] of T_j^-1 T_i, whose translation is -R t(T_i^-1 T_j).
        u, v = -(c * along + s * across), -(c * across - s * along)
        at = e * 18
        for m in range(3):
            a, b, d = local[m, 0], local[m, 1], local[m, 2]
            row_i = (-free_i * (c * a - s * b), -free_i * (s * a + c * b), -free_i * (v * a - u * b + d))
            row_j = (free_j * a, free_j * b, free_j * d)
            number = residual[m] * root
            for k in range(3):
                jacobian[at + m * 3 + k] = row_i[k]
                jacobian[at + 9 + m * 3 + k] = row_j[k]
                gradient[i * LANES + k] += row_i[k] * number
                gradient[j * LANES + k] += row_j[k] * number
                squares[i * LANES + k] += row_i[k] * row_i[k]
                squares[j * LANES + k] += row_j[k] * row_j[k]
