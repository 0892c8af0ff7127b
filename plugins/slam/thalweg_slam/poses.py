"""Poses as arrays: translations (..., d), and quaternions (..., 4) or, in 2-D, angles (...)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def identity(count: int, *, dims: int) -> tuple[Array, Array]:
    """Poses at the origin."""
    rotation = np.zeros(count) if dims == 2 else np.tile([0.0, 0.0, 0.0, 1.0], (count, 1))
    return np.zeros((count, dims)), rotation


def compose(translation: Array, rotation: Array, *, then: tuple[Array, Array]) -> tuple[Array, Array]:
    """$T_1 T_2$."""
    moved = translation + rotate(rotation, then[0])
    if translation.shape[-1] == 2:
        return moved, rotation + then[1]
    return moved, multiply(rotation, then[1])


def invert(translation: Array, rotation: Array) -> tuple[Array, Array]:
    """$T^{-1}$."""
    back = -rotation if translation.shape[-1] == 2 else conjugate(rotation)
    return -rotate(back, translation), back


def between(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    """$T_1^{-1} T_2$."""
    return compose(*invert(*first), then=second)


def rotate(rotation: Array, vector: Array) -> Array:
    """Vectors (..., d) turned."""
    if vector.shape[-1] == 2:
        cosine, sine = np.cos(rotation), np.sin(rotation)
        x, y = vector[..., 0], vector[..., 1]
        return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
    axis, scalar = rotation[..., :3], rotation[..., 3:]
    twice = 2.0 * cross(axis, vector)
    turned: Array = vector + scalar * twice + cross(axis, twice)
    return turned


def cross(first: Array, second: Array) -> Array:
    """The vector product; `np.cross` takes ten times as long over few vectors."""
    a, b, c = first[..., 0], first[..., 1], first[..., 2]
    x, y, z = second[..., 0], second[..., 1], second[..., 2]
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=-1)


def multiply(first: Array, second: Array) -> Array:
    """Product of quaternions (x, y, z, w)."""
    a, v = first[..., 3:], first[..., :3]
    b, w = second[..., 3:], second[..., :3]
    scalar = a * b - (v * w).sum(axis=-1, keepdims=True)
    return np.concatenate([a * w + b * v + cross(v, w), scalar], axis=-1)


def conjugate(quaternion: Array) -> Array:
    """The quaternion of the inverse rotation."""
    inverse: Array = quaternion * np.array([-1.0, -1.0, -1.0, 1.0])
    return inverse


def normalise(rotation: Array, *, dims: int) -> Array:
    """Quaternions (..., 4) of norm 1; in 2-D angles (...) in $[-\\pi, \\pi)$, be they four or not."""
    if dims == 3:
        unit: Array = rotation / np.linalg.norm(rotation, axis=-1, keepdims=True)
        return unit
    wrapped: Array = (rotation + np.pi) % (2 * np.pi) - np.pi
    return wrapped


def rotation_vector(quaternion: Array) -> Array:
    """Axis times angle, (..., 3), of the shorter way round."""
    axis, scalar = quaternion[..., :3], quaternion[..., 3]
    sine = np.linalg.norm(axis, axis=-1)
    angle = 2.0 * np.arctan2(sine, np.abs(scalar)) * np.where(scalar < 0, -1.0, 1.0)
    # angle / sine tends to 2 / w.
    ratio = np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-12)
    vector: Array = axis * ratio[..., None]
    return vector


def angle_of(rotation: Array, *, dims: int) -> Array:
    """The size of a rotation, rad."""
    if dims == 2:
        return np.abs(normalise(rotation, dims=2))
    sine = np.linalg.norm(rotation[..., :3], axis=-1)
    size: Array = 2.0 * np.arctan2(sine, np.abs(rotation[..., 3]))
    return size


def quaternion_of(matrix: Array) -> Array:
    """Quaternions of rotation matrices (..., 3, 3)."""
    from scipy.spatial.transform import Rotation

    quaternion: Array = Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_quat()
    return quaternion.reshape(*matrix.shape[:-2], 4)


def quaternion_of_euler(roll: Array, pitch: Array, yaw: Array) -> Array:
    """Quaternions of turns about the fixed x, then y, then z axis."""
    from scipy.spatial.transform import Rotation

    quaternion: Array = Rotation.from_euler("xyz", np.stack([roll, pitch, yaw], axis=-1)).as_quat()
    return quaternion


def euler_of_quaternion(quaternion: Array) -> Array:
    """Roll, pitch and yaw (..., 3): the inverse of `quaternion_of_euler`."""
    import warnings

    from scipy.spatial.transform import Rotation

    with warnings.catch_warnings():
        # Where pitch is a right angle one of the other two is taken for zero, which is the same rotation.
        warnings.filterwarnings("ignore", message="Gimbal lock")
        angles: Array = Rotation.from_quat(quaternion).as_euler("xyz")
    return angles


def matrix_of(rotation: Array) -> Array:
    """Rotation matrices of quaternions (..., 4)."""
    columns = [rotate(rotation, np.broadcast_to(unit, (*rotation.shape[:-1], 3))) for unit in np.eye(3)]
    return np.stack(columns, axis=-1)
