"""Residuals of relative poses in space, and their Jacobians in the tangent space of each pose.

e = Log(Z^-1 T_i^-1 T_j), whitened by W with W^T W the information; T moves to T Exp(v, w), translation first. With
right Jacobian J_r: de/dxi_j = J_r^-1(e), de/dxi_i = -J_r^-1(e) Ad(T_j^-1 T_i). Where an edge is `vector` the error is
(t, vec q) of the same motion. A prior has one pose twice: e = Log(Z^-1 T_j).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from .robust import influence

Array = np.ndarray[Any, np.dtype[Any]]
SIZE, LANES = 6, 8


@njit(cache=True, nogil=True, error_model="numpy")
def rotate(q, rotation):  # type: ignore[no-untyped-def]
    """Matrices (N, 3, 3) of unit quaternions (N, 4)."""
    for n in range(len(q)):
        x, y, z, w = q[n, 0], q[n, 1], q[n, 2], q[n, 3]
        rotation[n, 0, 0], rotation[n, 0, 1], rotation[n, 0, 2] = (
            1 - 2 * (y * y + z * z),
            2 * (x * y - z * w),
            2 * (x * z + y * w),
        )
        rotation[n, 1, 0], rotation[n, 1, 1], rotation[n, 1, 2] = (
            2 * (x * y + z * w),
            1 - 2 * (x * x + z * z),
            2 * (y * z - x * w),
        )
        rotation[n, 2, 0], rotation[n, 2, 1], rotation[n, 2, 2] = (
            2 * (x * z - y * w),
            2 * (y * z + x * w),
            1 - 2 * (x * x + y * y),
        )


@njit(cache=True, nogil=True, error_model="numpy")
def retract(q, t, rotation, step, fixed):  # type: ignore[no-untyped-def]
    """T Exp(step): new quaternions and translations; `step` has 8 numbers a pose, translation first."""
    new_q, new_t = np.empty(q.shape), np.empty(t.shape)
    for n in range(len(q)):
        if fixed[n]:
            for k in range(3):
                new_t[n, k] = t[n, k]
            for k in range(4):
                new_q[n, k] = q[n, k]
            continue
        a, b, c = step[n * LANES + 3], step[n * LANES + 4], step[n * LANES + 5]
        u, v, w = step[n * LANES], step[n * LANES + 1], step[n * LANES + 2]
        square = a * a + b * b + c * c
        angle = math.sqrt(square)
        if angle < 1e-4:
            half, first, second = 0.5 - square / 48, 0.5 - square / 24, 1 / 6 - square / 120
        else:
            half = math.sin(angle / 2) / angle
            first, second = 2 * half * half, (angle - math.sin(angle)) / (square * angle)
        # V(w) v = v + first w x v + second w x (w x v)
        x, y, z = b * w - c * v, c * u - a * w, a * v - b * u
        u, v, w = (
            u + first * x + second * (b * z - c * y),
            v + first * y + second * (c * x - a * z),
            w + first * z + second * (a * y - b * x),
        )
        for k in range(3):
            new_t[n, k] = t[n, k] + rotation[n, k, 0] * u + rotation[n, k, 1] * v + rotation[n, k, 2] * w
        real = math.cos(angle / 2)
        a, b, c = half * a, half * b, half * c
        x, y, z, w = q[n, 0], q[n, 1], q[n, 2], q[n, 3]
        new_q[n, 0] = w * a + x * real + y * c - z * b
        new_q[n, 1] = w * b - x * c + y * real + z * a
        new_q[n, 2] = w * c + x * b - y * a + z * real
        new_q[n, 3] = w * real - x * a - y * b - z * c
        length = math.sqrt(new_q[n, 0] ** 2 + new_q[n, 1] ** 2 + new_q[n, 2] ** 2 + new_q[n, 3] ** 2)
        for k in range(4):
            new_q[n, k] /= length
    return new_q, new_t


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _motion(q, t, rotation, i, j, zq, zt, zr, relative, shift, edge):  # type: ignore[no-untyped-def]
    """The quaternion (x, y, z, w), w >= 0, and the translation of Z^-1 T_i^-1 T_j, into `edge` (7,).

    `shift` gets T_i^-1 applied to t_j, before Z; `relative` R_i^T R_j. For a prior T_i is the identity.
    """
    if i == j:
        x, y, z, w = q[j, 0], q[j, 1], q[j, 2], q[j, 3]
        for k in range(3):
            shift[k] = t[j, k]
            for m in range(3):
                relative[k, m] = rotation[j, k, m]
    else:
        ax, ay, az, aw = -q[i, 0], -q[i, 1], -q[i, 2], q[i, 3]
        bx, by, bz, bw = q[j, 0], q[j, 1], q[j, 2], q[j, 3]
        x = aw * bx + ax * bw + ay * bz - az * by
        y = aw * by - ax * bz + ay * bw + az * bx
        z = aw * bz + ax * by - ay * bx + az * bw
        w = aw * bw - ax * bx - ay * by - az * bz
        u, v, s = t[j, 0] - t[i, 0], t[j, 1] - t[i, 1], t[j, 2] - t[i, 2]
        for k in range(3):
            shift[k] = rotation[i, 0, k] * u + rotation[i, 1, k] * v + rotation[i, 2, k] * s
            for m in range(3):
                relative[k, m] = (
                    rotation[i, 0, k] * rotation[j, 0, m]
                    + rotation[i, 1, k] * rotation[j, 1, m]
                    + rotation[i, 2, k] * rotation[j, 2, m]
                )
    ax, ay, az, aw = -zq[0], -zq[1], -zq[2], zq[3]
    edge[0] = aw * x + ax * w + ay * z - az * y
    edge[1] = aw * y - ax * z + ay * w + az * x
    edge[2] = aw * z + ax * y - ay * x + az * w
    edge[3] = aw * w - ax * x - ay * y - az * z
    if edge[3] < 0:
        for k in range(4):
            edge[k] = -edge[k]
    u, v, s = shift[0] - zt[0], shift[1] - zt[1], shift[2] - zt[2]
    for k in range(3):
        edge[4 + k] = zr[0, k] * u + zr[1, k] * v + zr[2, k] * s


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _logarithm(edge, vector, error):  # type: ignore[no-untyped-def]
    """The error (6,) of a motion; gives its angle and the second coefficient of the inverse right Jacobian."""
    x, y, z = edge[0], edge[1], edge[2]
    u, v, s = edge[4], edge[5], edge[6]
    if vector:
        error[0], error[1], error[2], error[3], error[4], error[5] = u, v, s, x, y, z
        return 0.0, 0.0
    sine = math.sqrt(x * x + y * y + z * z)
    angle = 2 * math.atan2(sine, edge[3])
    if angle < 1e-6:
        scale, second = 2.0, 1 / 12
    else:
        scale = angle / sine
        if angle < 0.25:
            square = angle * angle
            second = 1 / 12 + square * (1 / 720 + square * (1 / 30240 + square / 1209600))
        else:
            second = (1 - 0.5 * angle * edge[3] / sine) / (angle * angle)
    x, y, z = x * scale, y * scale, z * scale
    a, b, c = y * s - z * v, z * u - x * s, x * v - y * u
    error[0] = u - 0.5 * a + second * (y * c - z * b)
    error[1] = v - 0.5 * b + second * (z * a - x * c)
    error[2] = s - 0.5 * c + second * (x * b - y * a)
    error[3], error[4], error[5] = x, y, z
    return angle, second


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def cost(q, t, rotation, ends, zq, zt, zr, weight, vector, loss, scale, robust):  # type: ignore[no-untyped-def]
    """The sum over edges of the loss of e^T Omega e."""
    total = 0.0
    relative, shift, edge, error = np.empty((3, 3)), np.empty(3), np.empty(7), np.empty(6)
    for e in range(len(ends)):
        _motion(q, t, rotation, ends[e, 0], ends[e, 1], zq[e], zt[e], zr[e], relative, shift, edge)
        _logarithm(edge, vector[e], error)
        square = 0.0
        for m in range(6):
            number = 0.0
            for k in range(m, 6):
                number += weight[e, m, k] * error[k]
            square += number * number
        total += influence(loss if robust[e] else 0, scale, square)[0]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def linearise(  # type: ignore[no-untyped-def]
    q, t, rotation, ends, zq, zt, zr, weight, vector, loss, scale, robust, fixed, jacobian, gradient, squares
):
    """Jacobians by rows (edge, side, 6, 6), their J^T r and the squares of their columns (8 numbers a pose)."""
    relative, shift, edge, error = np.empty((3, 3)), np.empty(3), np.empty(7), np.empty(6)
    a, b, residual = np.empty((3, 3)), np.empty((3, 3)), np.empty(6)
    to, fro = np.empty((6, 6)), np.empty((6, 6))
    for n in range(len(gradient)):
        gradient[n] = squares[n] = 0.0
    for e in range(len(ends)):
        i, j = ends[e, 0], ends[e, 1]
        _motion(q, t, rotation, i, j, zq[e], zt[e], zr[e], relative, shift, edge)
        angle, second = _logarithm(edge, vector[e], error)
        square = 0.0
        for m in range(6):
            number = 0.0
            for k in range(m, 6):
                number += weight[e, m, k] * error[k]
            residual[m] = number
            square += number * number
        root = math.sqrt(influence(loss if robust[e] else 0, scale, square)[1])
        x, y, z, w = edge[0], edge[1], edge[2], edge[3]
        if vector[e]:
            # d(t, vec q) = (R v, (w I + [q]) omega / 2)
            for k in range(3):
                for m in range(3):
                    a[k, m] = zr[e, 0, k] * relative[0, m] + zr[e, 1, k] * relative[1, m] + zr[e, 2, k] * relative[2, m]
                    b[k, m] = 0.5 * w if k == m else 0.0
            b[0, 1], b[0, 2], b[1, 2] = -0.5 * z, 0.5 * y, -0.5 * x
            b[1, 0], b[2, 0], b[2, 1] = 0.5 * z, -0.5 * y, 0.5 * x
            for m in range(6):
                for k in range(3):
                    u, v = 0.0, 0.0
                    for n in range(3):
                        u += weight[e, m, n] * a[n, k]
                        v += weight[e, m, 3 + n] * b[n, k]
                    to[m, k], to[m, 3 + k] = u, v
        else:
            u, v, s, x, y, z = error[0], error[1], error[2], error[3], error[4], error[5]
            # J_r^-1 = I + ad / 2 + c1 ad^2 + c2 ad^4 = [[a, b], [0, a]]; second = c1 - c2 angle^2.
            square = angle * angle
            if angle < 0.25:
                fourth = -1 / 720 - square * (1 / 15120 + square / 403200)
            else:
                sine, cosine = math.sin(angle), math.cos(angle)
                fourth = (1 / square + (angle + sine) / (4 * angle * (cosine - 1))) / square
            inner = x * u + y * v + z * s
            whole = (2 * fourth * square - 2 * second) * inner
            a[0, 0], a[1, 1], a[2, 2] = (
                1 - second * (y * y + z * z),
                1 - second * (x * x + z * z),
                1 - second * (x * x + y * y),
            )
            a[0, 1], a[0, 2], a[1, 2] = second * x * y - 0.5 * z, second * x * z + 0.5 * y, second * y * z - 0.5 * x
            a[1, 0], a[2, 0], a[2, 1] = second * x * y + 0.5 * z, second * x * z - 0.5 * y, second * y * z + 0.5 * x
            part = -2 * fourth * inner
            b[0, 0], b[1, 1], b[2, 2] = (
                2 * second * x * u + part * x * x + whole,
                2 * second * y * v + part * y * y + whole,
                2 * second * z * s + part * z * z + whole,
            )
            xy, xz, yz = (
                second * (x * v + y * u) + part * x * y,
                second * (x * s + z * u) + part * x * z,
                second * (y * s + z * v) + part * y * z,
            )
            b[0, 1], b[0, 2], b[1, 2] = xy - 0.5 * s, xz + 0.5 * v, yz - 0.5 * u
            b[1, 0], b[2, 0], b[2, 1] = xy + 0.5 * s, xz - 0.5 * v, yz + 0.5 * u
            for m in range(6):
                for k in range(3):
                    u, v = 0.0, 0.0
                    for n in range(3):
                        u += weight[e, m, n] * a[n, k]
                        v += weight[e, m, n] * b[n, k] + weight[e, m, 3 + n] * a[n, k]
                    to[m, k], to[m, 3 + k] = u, v
        # Ad(T_j^-1 T_i) = [[R, -R [t]], [0, R]], with R = R_j^T R_i, and t that of T_i^-1 T_j.
        x, y, z = shift[0], shift[1], shift[2]
        for m in range(6):
            for k in range(3):
                u, v = 0.0, 0.0
                for n in range(3):
                    u += to[m, n] * relative[k, n]
                    v += to[m, 3 + n] * relative[k, n]
                fro[m, k], fro[m, 3 + k] = -u, -v
            # + (row of W J R) [t]
            u, v, s = -fro[m, 0], -fro[m, 1], -fro[m, 2]
            fro[m, 3] += v * z - s * y
            fro[m, 4] += s * x - u * z
            fro[m, 5] += u * y - v * x
        free_i, free_j = root if i != j and not fixed[i] else 0.0, 0.0 if fixed[j] else root
        at = e * 72
        for m in range(6):
            for k in range(6):
                u, v = fro[m, k] * free_i, to[m, k] * free_j
                jacobian[at + m * 6 + k] = u
                jacobian[at + 36 + m * 6 + k] = v
                gradient[i * LANES + k] += u * residual[m] * root
                gradient[j * LANES + k] += v * residual[m] * root
                squares[i * LANES + k] += u * u
                squares[j * LANES + k] += v * v
