"""Trajectories, and how far an estimated one is from the true one: absolute (ATE) and relative (RPE) errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from thalweg.errors import OptionError

from .poses import Array, angle_of, between, compose, invert, matrix_of, normalise, quaternion_of

Align = Literal["none", "origin", "se3", "sim3"]
"""Before errors are taken: nothing; the first poses are laid on one another; all positions, by the rigid motion that
leaves the least squares (SE(2) in 2-D); or by that and a scale, which a single camera cannot know."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Poses in order of time."""

    translation: Array
    """(N, d), m."""
    rotation: Array
    """(N, 4) quaternions x, y, z, w; (N,) angles in 2-D."""
    stamps: Array | None = None
    """(N,), s."""
    origin: int = 0
    """The time of stamp 0, ns."""

    @property
    def dims(self) -> int:
        return int(self.translation.shape[1])

    def __len__(self) -> int:
        return len(self.translation)

    def __getitem__(self, at: slice | Array) -> Trajectory:
        stamps = None if self.stamps is None else self.stamps[at]
        return Trajectory(self.translation[at], self.rotation[at], stamps, self.origin)


def planar(trajectory: Trajectory, *, forward: int = 2, left: int = 0, signs: tuple[int, int] = (1, -1)) -> Trajectory:
    """A trajectory in 3-D seen from above: x ahead and y to the left, by default of a camera (x right, z ahead).

    The heading is that of the body's axis `forward`.
    """
    at = trajectory.translation[:, [forward, left]] * np.array(signs)
    ahead = matrix_of(trajectory.rotation)[:, [forward, left], forward] * np.array(signs) * signs[0]
    return Trajectory(at, np.arctan2(ahead[:, 1], ahead[:, 0]), trajectory.stamps, trajectory.origin)


def associate(estimate: Trajectory, truth: Trajectory, *, within: float = 0.01) -> tuple[Trajectory, Trajectory]:
    """The poses of both at the same times: for each pose of the shorter the nearest of the longer, `within` seconds."""
    if estimate.stamps is None or truth.stamps is None:
        raise OptionError("a trajectory without times cannot be associated", allowed="stamps in both")
    shorter, longer = (estimate, truth) if len(estimate) <= len(truth) else (truth, estimate)
    assert shorter.stamps is not None
    assert longer.stamps is not None
    offset = (shorter.origin - longer.origin) * 1e-9
    wanted = shorter.stamps + offset
    after = np.searchsorted(longer.stamps, wanted).clip(1, max(1, len(longer) - 1))
    nearest = np.where(
        np.abs(longer.stamps[after - 1] - wanted) <= np.abs(longer.stamps[after] - wanted), after - 1, after
    )
    kept = np.abs(longer.stamps[nearest] - wanted) <= within
    if not kept.any():
        raise OptionError(
            f"no two poses are within {within:g} s",
            allowed=f"times from {longer.stamps[0]:.3f} to {longer.stamps[-1]:.3f} s",
            advice="look at the clocks, or widen `within`",
        )
    pair = shorter[kept], longer[nearest[kept]]
    return pair if shorter is estimate else (pair[1], pair[0])


def align(estimate: Trajectory, truth: Trajectory, *, by: Align = "se3") -> Trajectory:
    """The estimate, moved onto the truth. Raises `OptionError` if they do not have as many poses."""
    if len(estimate) != len(truth) or estimate.dims != truth.dims:
        raise OptionError(
            f"an estimate of {len(estimate)} poses in {estimate.dims}-D",
            allowed=f"{len(truth)} in {truth.dims}-D, as the truth has",
            advice="`associate` them by time, or see the truth from above (`planar`)",
        )
    if by == "none":
        return estimate
    if not (np.isfinite(estimate.translation).all() and np.isfinite(truth.translation).all()):
        # Nothing can be laid on a truth that is not known.
        return replace(estimate, translation=np.full_like(estimate.translation, np.nan))
    if by == "origin":
        first = invert(estimate.translation[:1], estimate.rotation[:1])
        motion = compose(truth.translation[:1], truth.rotation[:1], then=first)
        moved = compose(*motion, then=(estimate.translation, estimate.rotation))
        return Trajectory(*moved, estimate.stamps, estimate.origin)
    matrix, shift, scale = umeyama(estimate.translation, truth.translation, scaled=by == "sim3")
    at = scale * estimate.translation @ matrix.T + shift
    turn = np.arctan2(matrix[1, 0], matrix[0, 0]) if estimate.dims == 2 else quaternion_of(matrix[None])
    _, turned = compose(
        np.zeros((1, estimate.dims)), np.atleast_1d(turn), then=(estimate.translation, estimate.rotation)
    )
    return Trajectory(at, turned, estimate.stamps, estimate.origin)


def umeyama(points: Array, onto: Array, *, scaled: bool = False) -> tuple[Array, Array, float]:
    """Rotation, shift and scale with the least squares of `onto - (scale rotation points + shift)` (Umeyama 1991)."""
    mean, mean_onto = points.mean(axis=0), onto.mean(axis=0)
    covariance = (onto - mean_onto).T @ (points - mean) / len(points)
    left, sizes, right = np.linalg.svd(covariance)
    signs = np.ones(points.shape[1])
    signs[-1] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    rotation = left * signs @ right
    spread = ((points - mean) ** 2).sum() / len(points)
    scale = float((sizes * signs).sum() / spread) if scaled and spread > 0 else 1.0
    return rotation, mean_onto - scale * rotation @ mean, scale


def absolute_errors(estimate: Trajectory, truth: Trajectory, *, by: Align = "se3") -> Array:
    """Distances (N,) of the aligned estimate's positions from the true ones, m."""
    moved = align(estimate, truth, by=by)
    distance: Array = np.linalg.norm(moved.translation - truth.translation, axis=1)
    return distance


def relative_errors(
    estimate: Trajectory, truth: Trajectory, *, delta: int = 1, by: Align = "se3"
) -> tuple[Array, Array]:
    """Errors of the motion over `delta` poses, m and rad: of $(G_i^{-1} G_{i+d})^{-1} (P_i^{-1} P_{i+d})$."""
    moved = align(estimate, truth, by=by)
    pairs = []
    for each in (truth, moved):
        now, then = each[: len(each) - delta], each[delta:]
        pairs.append(between((now.translation, now.rotation), (then.translation, then.rotation)))
    shift, turn = between(pairs[0], pairs[1])
    return np.linalg.norm(shift, axis=1), angle_of(normalise(turn), dims=truth.dims)


def statistics(errors: Array) -> dict[str, float]:
    """Root mean square, mean, median, largest, and the 90th and 99th percentile."""
    return {
        "rmse": float(np.sqrt((errors**2).mean())),
        "mean": float(errors.mean()),
        "median": float(np.median(errors)),
        "max": float(errors.max()),
        "p90": float(np.percentile(errors, 90)),
        "p99": float(np.percentile(errors, 99)),
    }


def ate(estimate: Trajectory, truth: Trajectory, *, by: Align = "se3") -> dict[str, float]:
    """Absolute trajectory error, m: its statistics over the poses."""
    return statistics(absolute_errors(estimate, truth, by=by))


def rpe(estimate: Trajectory, truth: Trajectory, *, delta: int = 1, by: Align = "se3") -> dict[str, float]:
    """Relative pose error over `delta` poses: root mean squares, m and degrees."""
    shift, turn = relative_errors(estimate, truth, delta=delta, by=by)
    return {
        "trans_rmse": float(np.sqrt((shift**2).mean())),
        "rot_rmse_deg": float(np.rad2deg(np.sqrt((turn**2).mean()))),
    }
