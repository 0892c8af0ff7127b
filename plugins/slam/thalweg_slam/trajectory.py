"""Trajectories, and how far an estimated one is from the true one: absolute (ATE) and relative (RPE) errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from thalweg import OptionError

from .poses import Array, angle_of, between, compose, invert, matrix_of, normalise, quaternion_of

Align = Literal["none", "origin", "se3", "sim3"]
"""Before errors are taken: nothing; the first poses are laid on one another; all positions, by the rigid motion that
leaves the least squares (SE(2) in 2-D); or by that and a scale, which a single camera cannot know."""


LEAST = 3
"""Poses that are aligned by least squares, at least."""
Plane = Literal["xy", "xz", "yz", "yx", "zx", "zy"]
"""The two axes of a world, counterclockwise as seen from above: `xy` of a world whose z is up (TUM, EuRoC, robots),
`xz` of a camera's (x right, y down, z ahead: KITTI), `yx` where z is down, `zx` where y is up."""
Axis = Literal["x", "y", "z", "-x", "-y", "-z"]
"""Of a body."""


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
    exact: Array | None = None
    """(N,) int64, ns since the epoch, where `stamps` have fewer digits than the file."""
    dropped: int = 0
    """Rows of the file that were left out: those that remain are then not numbered as in the file."""

    @property
    def dims(self) -> int:
        return int(self.translation.shape[1])

    @property
    def nanoseconds(self) -> Array:
        """Times (N,), int64, ns since the epoch. Raises `OptionError` if there are none."""
        if self.exact is not None:
            return self.exact
        if self.stamps is None:
            raise OptionError("a trajectory without times", allowed="stamps", advice="read them from the file's times")
        return np.asarray(self.origin + np.rint(self.stamps * 1e9).astype(np.int64))

    def __len__(self) -> int:
        return len(self.translation)

    def __getitem__(self, at: slice | Array) -> Trajectory:
        stamps = None if self.stamps is None else self.stamps[at]
        exact = None if self.exact is None else self.exact[at]
        return Trajectory(self.translation[at], self.rotation[at], stamps, self.origin, exact, self.dropped)


LOST = 0.1
"""Part of a trajectory's second extent that must be left when it is seen from above."""


def planar(trajectory: Trajectory, *, plane: Plane = "xz", forward: Axis | None = None) -> Trajectory:
    """A trajectory in 3-D seen from above: positions in a plane of its world, and the heading of a body's axis in it.

    `forward` is by default x, but z in `xz` and `zx`, as of a camera. Raises `OptionError` where the plane is the wrong
    one, so that the trajectory collapses onto a line, or the axis points out of it.
    """
    if plane not in get_args(Plane):
        raise OptionError(f"plane {plane!r}", allowed=", ".join(get_args(Plane)), advice="take one of these")
    ahead = forward or ("z" if set(plane) == {"x", "z"} else "x")
    if ahead not in get_args(Axis):
        raise OptionError(f"forward {forward!r}", allowed=", ".join(get_args(Axis)), advice="take one of these")
    first, second = ("xyz".index(each) for each in plane)
    # The axis that the body goes along comes first: a camera's z, and then minus x, to its left.
    (first, second), sign = ((second, first), -1.0) if plane == "xz" else ((first, second), 1.0)
    signs = np.array([1.0, sign])
    at = trajectory.translation[:, [first, second]] * signs
    axis = matrix_of(trajectory.rotation)[:, :, "xyz".index(ahead[-1])] * (-1.0 if ahead[0] == "-" else 1.0)
    heading = axis[:, [first, second]] * signs
    _check_plane(trajectory, at, heading, plane=plane, forward=ahead)
    turned = np.arctan2(heading[:, 1], heading[:, 0])
    return replace(trajectory, translation=at, rotation=turned)


def _check_plane(trajectory: Trajectory, at: Array, heading: Array, *, plane: str, forward: str) -> None:
    extents = _extents(trajectory.translation), _extents(at)
    if extents[1][1] < LOST * extents[0][1]:
        # Across which axis of the world it moves least.
        across = int(np.nanstd(trajectory.translation, axis=0).argmin())
        raise OptionError(
            f"seen in the plane {plane!r} the trajectory collapses onto a line: {extents[1][0]:.3g} m by "
            f"{extents[1][1]:.2g} m, of {extents[0][0]:.3g} m by {extents[0][1]:.3g} m in space",
            allowed="the plane that it moves in: xy where z is up, xz of a camera (y down), ...",
            advice=f"say plane: {('yz', 'xz', 'xy')[across]}, or its axes in the other order",
        )
    length = np.linalg.norm(heading, axis=1)
    if np.isfinite(length).any() and np.nanmedian(length) < 0.5:
        raise OptionError(
            f"the body's axis {forward!r} points out of the plane {plane!r}: there is no heading",
            allowed="an axis of the body that lies in the plane",
            advice="say forward: x, y or z",
        )


def _extents(points: Array) -> Array:
    """Standard deviations along the principal axes, the largest first; of those that are finite."""
    known = points[np.isfinite(points).all(axis=1)]
    if not len(known):
        return np.zeros(2)
    values = np.linalg.svd(known - known.mean(axis=0), compute_uv=False) / np.sqrt(len(known))
    return np.append(values, np.zeros(max(0, 2 - len(values))))


def matches(
    estimate: Trajectory, truth: Trajectory, *, within: float = 0.01, offset: float = 0.0
) -> tuple[Array, Array]:
    """Numbers of poses of both at the same times: for each pose of the shorter the nearest of the longer.

    `within` seconds of one another; `offset` seconds are added to the estimate's times. A pose of the estimate is there
    once; both are in order of time, whatever order they were given in.
    """
    if estimate.stamps is None or truth.stamps is None:
        raise OptionError("a trajectory without times cannot be associated", allowed="stamps in both")
    times = estimate.nanoseconds + round(offset * 1e9), truth.nanoseconds
    orders = [np.argsort(each, kind="stable") for each in times]
    (shorter, one), (longer, other) = sorted(zip(times, orders, strict=True), key=lambda each: len(each[0]))
    wanted, known = shorter[one], longer[other]
    if not len(wanted):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    after = np.searchsorted(known, wanted).clip(1, max(1, len(known) - 1)).clip(max=len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(known[before] - wanted) <= np.abs(known[after] - wanted), before, after)
    apart = np.abs(known[nearest] - wanted)
    kept = apart <= round(within * 1e9)
    pair = one[kept], other[nearest[kept]]
    numbers = pair if len(estimate) <= len(truth) else pair[::-1]
    # Two poses of the truth may have the same nearest one of the estimate: the nearer counts.
    by = np.lexsort((apart[kept], times[0][numbers[0]], numbers[0]))
    first = np.ones(len(by), bool)
    first[1:] = np.diff(numbers[0][by]) != 0
    chosen = by[first]
    chosen = chosen[np.argsort(times[0][numbers[0][chosen]], kind="stable")]
    return numbers[0][chosen], numbers[1][chosen]


def associate(
    estimate: Trajectory, truth: Trajectory, *, within: float = 0.01, offset: float = 0.0
) -> tuple[Trajectory, Trajectory]:
    """The poses of both at the same times, as `matches` finds them. Raises `OptionError` if there are none."""
    found = matches(estimate, truth, within=within, offset=offset)
    if not len(found[0]):
        raise no_match(estimate, truth, within=within, offset=offset)
    return estimate[found[0]], truth[found[1]]


def no_match(estimate: Trajectory, truth: Trajectory, *, within: float, offset: float) -> OptionError:
    """The error of two trajectories that have no times in common."""
    spans = [
        f"{each.min() * 1e-9:.3f} to {each.max() * 1e-9:.3f} s" for each in (estimate.nanoseconds, truth.nanoseconds)
    ]
    apart = (truth.nanoseconds.min() - estimate.nanoseconds.min()) * 1e-9
    return OptionError(
        f"no two poses are within {within:g} s: times from {spans[0]}{f' and {offset:g} s more' if offset else ''}",
        allowed=f"times of the truth, from {spans[1]}",
        advice=f"look at the clocks (`offset: {apart:.3f}` if both begin together), or widen `within`",
    )


def align(estimate: Trajectory, truth: Trajectory, *, by: Align = "se3") -> Trajectory:
    """The estimate, moved onto the truth. Raises `OptionError` if they do not have as many poses."""
    if len(estimate) != len(truth) or estimate.dims != truth.dims:
        raise OptionError(
            f"an estimate of {len(estimate)} poses in {estimate.dims}-D",
            allowed=f"{len(truth)} in {truth.dims}-D, as the truth has",
            advice="pair them by time (`associate`), or see the truth from above (`planar`)",
        )
    if by == "none":
        return estimate
    if by != "origin" and len(estimate) < LEAST:
        raise OptionError(
            f"{len(estimate)} poses, to be aligned by {by}",
            allowed=f"{LEAST} or more: any two lie on one another",
            advice="take longer trajectories, or align: origin",
        )
    if not (np.isfinite(estimate.translation).all() and np.isfinite(truth.translation).all()):
        # Nothing can be laid on a truth that is not known.
        return replace(estimate, translation=np.full_like(estimate.translation, np.nan))
    if by == "origin":
        first = invert(estimate.translation[:1], estimate.rotation[:1])
        motion = compose(truth.translation[:1], truth.rotation[:1], then=first)
        moved = compose(*motion, then=(estimate.translation, estimate.rotation))
        return replace(estimate, translation=moved[0], rotation=moved[1])
    matrix, shift, scale = umeyama(estimate.translation, truth.translation, scaled=by == "sim3")
    at = scale * estimate.translation @ matrix.T + shift
    turn = np.arctan2(matrix[1, 0], matrix[0, 0]) if estimate.dims == 2 else quaternion_of(matrix[None])
    _, turned = compose(
        np.zeros((1, estimate.dims)), np.atleast_1d(turn), then=(estimate.translation, estimate.rotation)
    )
    return replace(estimate, translation=at, rotation=turned)


def umeyama(points: Array, onto: Array, *, scaled: bool = False) -> tuple[Array, Array, float]:
    """Rotation, shift and scale with the least squares of `onto - (scale rotation points + shift)` (Umeyama 1991).

    Of points on a line the turn about it is any one: distances are the same for all.
    """
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
    """Errors of the motion over `delta` poses, m and rad: of $(G_i^{-1} G_{i+d})^{-1} (P_i^{-1} P_{i+d})$.

    From every pose on, as evo's `--all_pairs`.
    """
    moved = align(estimate, truth, by=by)
    pairs = []
    for each in (truth, moved):
        now, then = each[: len(each) - delta], each[delta:]
        pairs.append(between((now.translation, now.rotation), (then.translation, then.rotation)))
    shift, turn = between(pairs[0], pairs[1])
    return np.linalg.norm(shift, axis=1), angle_of(normalise(turn, dims=truth.dims), dims=truth.dims)


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
