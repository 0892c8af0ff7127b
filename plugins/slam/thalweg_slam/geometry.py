"""Rigid motions in the plane and in space, many at a time: exponential, logarithm and their Jacobians.

A motion is (rotation, translation): unit quaternions (..., 4), (x, y, z, w), in space, angles (...) in the plane.
A twist has its translation first: (v, omega), (..., 6) or (..., 3). Motions are perturbed on their right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Motion = tuple[Array, Array]


def wrap(angle: Array) -> Array:
    """Into [-pi, pi)."""
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def cross(vector: Array) -> Array:
    """The matrix [v] with [v] u = v x u."""
    x, y, z = np.moveaxis(vector, -1, 0)
    o = np.zeros_like(x)
    return np.stack([np.stack([o, -z, y], -1), np.stack([z, o, -x], -1), np.stack([-y, x, o], -1)], -2)


def matrix(rotation: Array, dims: int) -> Array:
    """Rotation matrices (..., d, d)."""
    if dims == 2:
        c, s = np.cos(rotation), np.sin(rotation)
        return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    skew = cross(rotation[..., :3])
    return np.asarray(np.eye(3) + 2 * rotation[..., 3:, None] * skew + 2 * skew @ skew)


def rotation(matrices: Array) -> Array:
    """Quaternions with w >= 0, or angles, of rotation matrices (..., d, d)."""
    if matrices.shape[-1] == 2:
        return np.arctan2(matrices[..., 1, 0], matrices[..., 0, 0])
    m = matrices
    x, y, z = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1], m[..., 0, 2], m[..., 1, 0]
    d, e, f = m[..., 1, 2], m[..., 2, 0], m[..., 0, 1]
    # Four ways to write 4 q q_k; the one with the largest q_k is exact to rounding.
    rows = np.stack(
        [
            np.stack([1 + x - y - z, f + c, e + b, a - d], -1),
            np.stack([f + c, 1 - x + y - z, a + d, b - e], -1),
            np.stack([e + b, a + d, 1 - x - y + z, c - f], -1),
            np.stack([a - d, b - e, c - f, 1 + x + y + z], -1),
        ],
        -2,
    )
    best = np.argmax(np.stack([rows[..., k, k] for k in range(4)], -1), -1)
    found = np.take_along_axis(rows, best[..., None, None], -2)[..., 0, :]
    found = found / np.linalg.norm(found, axis=-1, keepdims=True)
    return np.asarray(np.where(found[..., 3:] < 0, -found, found))


def compose(first: Motion, second: Motion) -> Motion:
    """first second: what `second` does, seen from `first`."""
    (a, t), (b, s) = first, second
    dims = t.shape[-1]
    moved = t + (matrix(a, dims) @ s[..., None])[..., 0]
    if dims == 2:
        return np.asarray(a + b), moved
    u, v, p, q = a[..., :3], b[..., :3], a[..., 3:], b[..., 3:]
    return np.concatenate([p * v + q * u + np.cross(u, v), p * q - (u * v).sum(-1, keepdims=True)], -1), moved


def inverse(motion: Motion) -> Motion:
    a, t = motion
    dims = t.shape[-1]
    back = np.asarray(-a) if dims == 2 else a * np.array([-1.0, -1, -1, 1])
    return back, -(matrix(back, dims) @ t[..., None])[..., 0]


def _coefficients(angle: Array) -> tuple[Array, Array]:
    """(1 - cos a) / a^2 and (a - sin a) / a^3."""
    square = angle**2
    small = angle < 1e-2
    safe = np.where(small, 1.0, angle)
    first = np.where(small, 0.5 - square / 24 + square**2 / 720, 2 * (np.sin(safe / 2) / safe) ** 2)
    second = np.where(small, 1 / 6 - square / 120 + square**2 / 5040, (safe - np.sin(safe)) / safe**3)
    return first, second


def _inverse_coefficient(angle: Array) -> Array:
    """1 / a^2 - (1 + cos a) / (2 a sin a)."""
    square = angle**2
    small = angle < 0.1
    safe = np.where(small, 1.0, angle)
    series = 1 / 12 + square / 720 + square**2 / 30240 + square**3 / 1209600
    return np.where(small, series, (1 - safe / 2 / np.tan(safe / 2)) / safe**2)


def _turn(angle: Array) -> tuple[Array, Array]:
    """sin a / a and (1 - cos a) / a."""
    first, second = _coefficients(np.abs(angle))
    return 1 - angle**2 * second, angle * first


def exp(twist: Array) -> Motion:
    """The motion along a twist."""
    if twist.shape[-1] == 3:
        along, across = _turn(twist[..., 2])
        u, v = twist[..., 0], twist[..., 1]
        return np.asarray(twist[..., 2]), np.stack([along * u - across * v, across * u + along * v], -1)
    v, omega = twist[..., :3], twist[..., 3:]
    angle = np.linalg.norm(omega, axis=-1)
    first, second = (each[..., None] for each in _coefficients(angle))
    half = np.sinc(angle / 2 / np.pi)[..., None] / 2
    turned = np.cross(omega, v)
    q = np.concatenate([half * omega, np.cos(angle / 2)[..., None]], -1)
    return q, v + first * turned + second * np.cross(omega, turned)


def log(motion: Motion) -> Array:
    """The twist of a motion, its angle at most pi."""
    a, t = motion
    if t.shape[-1] == 2:
        angle = wrap(a)
        stretch = 1 - angle**2 * _inverse_coefficient(np.abs(angle))
        u, v = t[..., 0], t[..., 1]
        return np.stack([stretch * u + angle / 2 * v, stretch * v - angle / 2 * u, angle], -1)
    a = np.where(a[..., 3:] < 0, -a, a)
    sine = np.linalg.norm(a[..., :3], axis=-1)
    angle = 2 * np.arctan2(sine, a[..., 3])
    scale = np.where(sine < 1e-9, 2.0, angle / np.where(sine < 1e-9, 1.0, sine))
    omega = a[..., :3] * scale[..., None]
    turned = np.cross(omega, t)
    second = _inverse_coefficient(angle)[..., None]
    return np.concatenate([t - turned / 2 + second * np.cross(omega, turned), omega], -1)


def adjoint(motion: Motion) -> Array:
    """Ad with T Exp(x) T^-1 = Exp(Ad x)."""
    a, t = motion
    dims = t.shape[-1]
    turned = matrix(a, dims)
    size = 3 * (dims - 1)
    found = np.zeros((*t.shape[:-1], size, size))
    found[..., :dims, :dims] = turned
    if dims == 2:
        found[..., 0, 2], found[..., 1, 2], found[..., 2, 2] = t[..., 1], -t[..., 0], 1
    else:
        found[..., :3, 3:], found[..., 3:, 3:] = cross(t) @ turned, turned
    return found


def bracket(twist: Array) -> Array:
    """ad: the derivative of Ad at the identity."""
    size = twist.shape[-1]
    found = np.zeros((*twist.shape, size))
    if size == 3:
        u, v, w = np.moveaxis(twist, -1, 0)
        found[..., 0, 1], found[..., 1, 0], found[..., 0, 2], found[..., 1, 2] = -w, w, v, -u
    else:
        found[..., :3, :3] = found[..., 3:, 3:] = cross(twist[..., 3:])
        found[..., :3, 3:] = cross(twist[..., :3])
    return found


def right_jacobian_inverse(twist: Array) -> Array:
    """J with Log(Exp(twist) Exp(x)) = twist + J x + O(x^2)."""
    ad = bracket(twist)
    unit = np.eye(twist.shape[-1])
    angle = np.abs(twist[..., 2]) if twist.shape[-1] == 3 else np.linalg.norm(twist[..., 3:], axis=-1)
    second = _inverse_coefficient(angle)[..., None, None]
    if twist.shape[-1] == 3:
        return np.asarray(unit + ad / 2 + second * ad @ ad)
    square = angle**2
    small = angle < 0.25
    safe = np.where(small, 1.0, angle)
    closed = (1 / safe**2 + (safe + np.sin(safe)) / (4 * safe * (np.cos(safe) - 1))) / safe**2
    fourth = np.where(small, -1 / 720 - square / 15120 - square**2 / 403200, closed)
    fourth, square = fourth[..., None, None], square[..., None, None]
    twice = ad @ ad
    return np.asarray(unit + ad / 2 + (second + fourth * square) * twice + fourth * twice @ twice)
