"""Synthetic tours: a robot drives between waypoints of a room, reckons its way, and recognises where it has been."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .graph import LOOP, ODOMETRY, Graph
from .poses import Array, between, compose, normalise
from .problem import Problem
from .spanning import composed
from .trajectory import Trajectory

_TOURS = 0x746F7572
"""Seeds are of tours."""


@dataclass(frozen=True)
class Settings:
    """Of a tour; lengths in m, angles in rad."""

    dims: int = 3
    poses: tuple[int, int] = (163, 483)
    room: tuple[float, float] = (3.0, 8.0)
    """Bounds of the room's sides, drawn for each."""
    step: float = 0.05
    turning: float = 0.2
    """The largest turn from one pose to the next."""
    odometry_noise: tuple[float, float] = (2e-3, 12e-3)
    """Standard deviations of a step's shift and turn, per axis."""
    bias: float = 6e-3
    """Standard deviation of the turn per metre that all steps of a tour have in common, per axis."""
    reach: float = 3.0
    """How far off a place is recognised."""
    matches: int = 6
    """Earlier poses that a pose is matched with, at most."""
    gap: int = 40
    """Poses between the two ends of a loop, at least."""
    loop_noise: tuple[float, float] = (0.6e-3, 0.1e-3)
    shortest: int = 10
    longest: int = 399
    """Poses of a trajectory: see `trajectories`."""


def tour(seed: int, settings: Settings | None = None) -> Problem:
    """A tour, drawn from the seed alone.

    Odometry measures each step with noise and a bias; loops measure earlier poses within reach, drawn from all of them.
    The information of both is that of their noise (the bias, which no one knows, is not in it).
    """
    chosen = settings or Settings()
    random = np.random.default_rng([_TOURS, seed])
    truth = _drive(random, chosen)
    at, turned = truth.translation, truth.rotation
    count = len(truth)
    steps = np.column_stack([np.arange(count - 1), np.arange(1, count)])
    loops = _loops(random, at, chosen)
    edges = np.concatenate([steps, loops])
    i, j = edges.T
    exact = between((at[i], turned[i]), (at[j], turned[j]))
    shift, turn = (
        np.repeat([o, n], [len(steps), len(loops)])
        for o, n in zip(chosen.odometry_noise, chosen.loop_noise, strict=True)
    )
    size = 1 if chosen.dims == 2 else 3
    error = random.normal(size=(len(edges), chosen.dims)) * shift[:, None]
    swing = random.normal(size=(len(edges), size)) * turn[:, None]
    swing[: len(steps)] += random.normal(size=size) * chosen.bias * chosen.step
    measured = compose(*exact, then=(error, swing[:, 0] if size == 1 else _quaternion(swing)))
    kind = np.repeat([ODOMETRY, LOOP], [len(steps), len(loops)]).astype(np.uint8)
    weight = np.concatenate([np.repeat(shift[:, None], chosen.dims, 1), np.repeat(turn[:, None], size, 1)], axis=1)
    information = np.zeros((len(edges), weight.shape[1], weight.shape[1]))
    information[:, np.arange(weight.shape[1]), np.arange(weight.shape[1])] = weight**-2
    fixed = np.arange(count) == 0
    start = at[:1].repeat(count, 0), turned[:1].repeat(count, 0)
    along = slice(0, len(steps))
    odometry = measured[0][along], measured[1][along]
    reckoned, _ = composed(steps, odometry, kind[along], start=start, roots=fixed)
    graph = Graph(
        translation=reckoned[0],
        rotation=reckoned[1],
        edges=edges,
        edge_translation=measured[0],
        edge_rotation=normalise(measured[1], dims=chosen.dims),
        information=information,
        kind=kind,
        ids=np.arange(count),
        fixed=fixed,
        given=False,
        attrs={"source": f"tour {seed}"},
    )
    return Problem(graph, truth, trajectories(count, loops, between=(chosen.shortest, chosen.longest)))


def trajectories(count: int, loops: Array, *, between: tuple[int, int]) -> Array:
    """The number (N,) of the trajectory that each pose belongs to: a tour is split where a run of loops begins.

    A run ends with `between[0]` poses that close no loop; a piece shorter than that stays with the one before, and one
    longer than `between[1]` is cut into equal parts.
    """
    shortest, longest = between
    closes = np.zeros(count, dtype=bool)
    closes[loops.max(axis=1, initial=0) if len(loops) else []] = True
    at = np.flatnonzero(closes)
    begins = at[np.diff(at, prepend=-2 * shortest) > shortest]
    cuts = [0]
    for begin in begins:
        if begin - cuts[-1] >= shortest and count - begin >= shortest:
            cuts.append(int(begin))
    lengths: list[int] = []
    for length in np.diff([*cuts, count]).tolist():
        parts = max(1, math.ceil(length / longest))
        lengths += np.diff(np.linspace(0, length, parts + 1).round().astype(int)).tolist()
    return np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)


def _drive(random: np.random.Generator, settings: Settings) -> Trajectory:
    """Steps towards one waypoint after another, turning no faster than it may; in 3-D the body pitches and rolls."""
    count = int(random.integers(settings.poses[0], settings.poses[1], endpoint=True))
    width, depth = random.uniform(*settings.room, size=2).tolist()
    # A goal inside the turning circle is never reached: it counts as reached from that far off.
    near, most = settings.step / settings.turning, settings.turning
    drawn = iter(random.uniform(size=2 * count + 4).tolist())
    x, y, heading = next(drawn) * width, next(drawn) * depth, random.uniform(-math.pi, math.pi)
    goal = next(drawn) * width, next(drawn) * depth
    path = []
    for _ in range(count):
        path.append((x, y, heading))
        if math.hypot(goal[0] - x, goal[1] - y) < near:
            goal = next(drawn) * width, next(drawn) * depth
        wanted = math.remainder(math.atan2(goal[1] - y, goal[0] - x) - heading, 2 * math.pi)
        heading += min(max(wanted, -most), most)
        x, y = x + settings.step * math.cos(heading), y + settings.step * math.sin(heading)
    at, headings = np.array(path)[:, :2], np.array(path)[:, 2]
    if settings.dims == 2:
        return Trajectory(at, (headings + np.pi) % (2 * np.pi) - np.pi)
    phase = np.arange(count)[:, None] * random.uniform(0.1, 0.3, size=3) + random.uniform(0, 2 * np.pi, size=3)
    sway = np.sin(phase) * np.array([0.02, 0.02, 0.01])
    yaw = _quaternion(np.column_stack([np.zeros((count, 2)), headings]))
    _, turned = compose(np.zeros((count, 3)), yaw, then=(np.zeros((count, 3)), _quaternion(sway * [1, 1, 0])))
    return Trajectory(np.column_stack([at, sway[:, 2]]), turned)


def size_of(seed: int, chosen: Settings) -> tuple[int, int]:
    """How many poses and edges `tour(seed, chosen)` has, without its measurements."""
    at = _drive(np.random.default_rng([_TOURS, seed]), chosen).translation
    loops = np.minimum(_within(at, chosen).sum(axis=1), chosen.matches).sum()
    return len(at), len(at) - 1 + int(loops)


def _within(at: Array, settings: Settings) -> Array:
    """(N, N): which earlier poses are recognised from a pose."""
    offset = at[:, None] - at
    squares = np.einsum("ijk,ijk->ij", offset, offset)
    k = np.arange(len(at))
    found: Array = (squares <= settings.reach**2) & (k <= k[:, None] - settings.gap)
    return found


def _loops(random: np.random.Generator, at: Array, settings: Settings) -> Array:
    """Edges (n, 2) from earlier poses."""
    within = _within(at, settings)
    lots = np.where(within, random.random(size=within.shape, dtype=np.float32), 2.0)
    most = min(settings.matches, len(at))
    chosen = np.sort(np.argpartition(lots, most - 1, axis=1)[:, :most], axis=1)
    later, place = np.nonzero(np.take_along_axis(within, chosen, axis=1))
    return np.column_stack([chosen[later, place], later])


def _quaternion(vector: Array) -> Array:
    """Quaternions of rotation vectors (n, 3)."""
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.concatenate([vector * 0.5 * np.sinc(angle / (2 * np.pi)), np.cos(angle / 2)], axis=-1)
