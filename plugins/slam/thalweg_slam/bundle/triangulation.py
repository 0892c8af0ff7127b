"""Points from the lines of sight on which cameras see them."""

from __future__ import annotations

import numpy as np

from .problem import Array, Bundle
from .rotation import exponential

PARALLEL = 1e-8
"""Squared sine of the angle between lines of sight below which they do not meet."""


def triangulated(bundle: Bundle, points: Array) -> Array:
    """(n, 3): where the lines of sight of these points meet, in least squares; NaN where they are parallel.

    Lens distortion is left out: the points are places to begin at.
    """
    turns = exponential(bundle.cameras[:, :3])
    centres = -np.einsum("nji,nj->ni", turns, bundle.cameras[:, 3:6])
    new = np.full(len(bundle.points), -1)
    new[points] = np.arange(len(points))
    rows = np.flatnonzero(new[bundle.observations[:, 1]] >= 0)
    camera, point = bundle.observations[rows, 0], new[bundle.observations[rows, 1]]
    local = _sight(bundle, rows)
    if bundle.model == "stereo":
        seen = np.einsum("nji,nj->ni", turns[camera], local - bundle.cameras[camera, 3:6])
        total, count = np.zeros((len(points), 3)), np.bincount(point, minlength=len(points))
        np.add.at(total, point, seen)
        mean: Array = total / np.where(count > 0, count, np.nan)[:, None]
        return mean
    ray = np.einsum("nji,nj->ni", turns[camera], local)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    across = np.eye(3) - ray[:, :, None] * ray[:, None, :]
    # About a centre of the bundle, lest digits are lost to the distance from the origin.
    middle = centres.mean(axis=0)
    whole, right = np.zeros((len(points), 3, 3)), np.zeros((len(points), 3))
    np.add.at(whole, point, across)
    np.add.at(right, point, (across @ (centres[camera] - middle)[..., None])[..., 0])
    met = np.linalg.eigvalsh(whole)[:, 0] > PARALLEL
    found = np.full((len(points), 3), np.nan)
    found[met] = np.linalg.solve(whole[met], right[met][..., None])[..., 0] + middle
    return found


def _sight(bundle: Bundle, rows: Array) -> Array:
    """(n, 3): lines of sight in the frames of the cameras; of stereo cameras the points themselves."""
    measured, one = bundle.measured[rows], np.ones(len(rows))
    if bundle.model == "bal":
        focal = bundle.cameras[bundle.observations[rows, 0], 6]
        return np.column_stack([measured / focal[:, None], -one])
    if bundle.model == "brown":
        f, cx, cy = bundle.calibration[:3]
        return np.column_stack([(measured - [cx, cy]) / f, one])
    fx, fy, cx, cy = bundle.calibration[:4]
    if bundle.model == "pinhole":
        return np.column_stack([(measured - [cx, cy]) / [fx, fy], one])
    left, right, down = measured.T
    depth = fx * bundle.calibration[4] / (left - right)
    return np.column_stack([(left - cx) / fx * depth, (down - cy) / fy * depth, depth])
