"""A synthetic drive: a stereo camera goes round a block more than once, past landmarks that it knows again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..poses import Array
from ..trajectory import Trajectory
from .problem import Bundle

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class Road:
    """Of a drive; lengths in m, angles in rad."""

    cameras: int = 150
    radius: float = 20.0
    step: float = 1.0
    landmarks: int = 1500
    noise: float = 0.5
    """Of a measurement, px."""
    start_noise: tuple[float, float] = (0.02, 5e-3)
    """Standard deviations of the step that the start is composed of."""


CALIBRATION = (500.0, 500.0, 320.0, 240.0, 0.5)
NEAR, FAR = 1.0, 25.0


def drive(seed: int, road: Road | None = None) -> tuple[Bundle, Trajectory]:
    """A bundle that begins at reckoned poses, and the truth (x right, y down, z ahead), from the same first pose."""
    from scipy.spatial.transform import Rotation

    road = road or Road()
    random = np.random.default_rng([0x6472697665, seed])
    angle = np.arange(road.cameras) * road.step / road.radius
    sine, cosine, blank = np.sin(angle), np.cos(angle), np.zeros_like(angle)
    at = road.radius * np.stack([cosine, blank, sine], axis=1)
    # Columns: right, down, ahead.
    turn = np.stack([cosine, blank, -sine, blank, blank + 1, blank, sine, blank, cosine], axis=1).reshape(-1, 3, 3)
    side = random.choice([-1.0, 1.0], road.landmarks) * random.uniform(3, 9, road.landmarks)
    where = random.uniform(0, 2 * np.pi, road.landmarks)
    height = random.uniform(-4, 1.5, road.landmarks)
    far = road.radius + side
    points = np.stack([far * np.cos(where), height, far * np.sin(where)], axis=1)
    camera, point, measured = _seen(at, turn, points)
    measured = measured + random.normal(0, road.noise, measured.shape)
    rotation = Rotation.from_matrix(turn)
    start_at, start_turn = _reckoned(at, rotation, road, random)
    local = _triangulated(measured)
    tracks, first, number = np.unique(point, return_index=True, return_inverse=True)
    begin = start_turn[camera[first]].apply(local[first]) + start_at[camera[first]]
    back = start_turn.inv()
    bundle = Bundle(
        cameras=np.concatenate([back.as_rotvec(), -back.apply(start_at)], axis=1),
        points=begin,
        observations=np.stack([camera, number.reshape(-1)], axis=1),
        measured=measured,
        model="stereo",
        calibration=np.array(CALIBRATION),
        sigma=road.noise,
        attrs={"source": f"drive {seed}", "tracks": tracks.tolist()},
    )
    return bundle, Trajectory(at, rotation.as_quat())


def _seen(at: Array, turn: Array, points: Array) -> tuple[Array, Array, Array]:
    fx, fy, cx, cy, baseline = CALIBRATION
    local = np.einsum("cji,cpj->cpi", turn, points[None] - at[:, None])
    x, y, depth = np.moveaxis(local, 2, 0)
    ahead = np.where(depth > NEAR, depth, np.inf)
    left, down = fx * x / ahead + cx, fy * y / ahead + cy
    right = left - fx * baseline / ahead
    inside = (depth > NEAR) & (depth < FAR) & (left < 2 * cx) & (right > 0) & (down > 0) & (down < 2 * cy)
    camera, point = np.nonzero(inside)
    return camera, point, np.stack([left[inside], right[inside], down[inside]], axis=1)


def _triangulated(measured: Array) -> Array:
    fx, fy, cx, cy, baseline = CALIBRATION
    left, right, down = measured.T
    depth = fx * baseline / np.maximum(left - right, fx * baseline / (2 * FAR))
    return np.stack([(left - cx) / fx * depth, (down - cy) / fy * depth, depth], axis=1)


def _reckoned(at: Array, rotation: Rotation, road: Road, random: np.random.Generator) -> tuple[Array, Rotation]:
    from scipy.spatial.transform import Rotation as Turn

    back = rotation[:-1].inv()
    steps = back.apply(np.diff(at, axis=0)) + random.normal(0, road.start_noise[0], (len(at) - 1, 3))
    swings = back * rotation[1:] * Turn.from_rotvec(random.normal(0, road.start_noise[1], (len(at) - 1, 3)))
    place, turns = [at[0]], [rotation[0]]
    for step, swing in zip(steps, swings, strict=True):
        place.append(place[-1] + turns[-1].apply(step))
        turns.append(turns[-1] * swing)
    return np.array(place), Turn.concatenate(turns)
