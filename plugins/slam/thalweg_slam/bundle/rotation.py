"""Rotations as matrices: the exponential, the logarithm, and its slope."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from .problem import Array


def exponential(vector: Array) -> Array:
    """(N, 3, 3) of (N, 3), rad."""
    return np.asarray(Rotation.from_rotvec(vector).as_matrix())


def logarithm(matrix: Array) -> Array:
    """(N, 3), rad, of (N, 3, 3)."""
    return np.asarray(Rotation.from_matrix(matrix).as_rotvec())


def cross(vector: Array) -> Array:
    """(N, 3, 3): the matrix of w x."""
    x, y, z = vector.T
    o = np.zeros_like(x)
    return np.stack([o, -z, y, z, o, -x, -y, x, o], axis=-1).reshape(-1, 3, 3)


def logarithm_slope(vector: Array) -> Array:
    """(N, 3, 3): d log(exp(e) exp(w)) / d e at e = 0, the inverse of the left Jacobian."""
    angle = np.linalg.norm(vector, axis=1)
    safe = np.maximum(angle, 1e-4)
    exact = 1.0 / safe**2 - (1.0 + np.cos(safe)) / (2.0 * safe * np.sin(safe))
    gain = np.where(angle < 1e-4, 1.0 / 12.0, exact)
    turn = cross(vector)
    return np.asarray(np.eye(3) - 0.5 * turn + gain[:, None, None] * (turn @ turn))
