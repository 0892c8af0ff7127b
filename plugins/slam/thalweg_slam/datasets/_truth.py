"""The true pose of each pose that is scored: found by time or by name, never by order; and how many there are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from thalweg import OptionError, SourceError

from ..geometry import wrap
from ..graph import ODOMETRY, Graph
from ..poses import Array
from ..trajectory import LEAST, Axis, Plane, Trajectory, matches, no_match, planar

Pair = Literal["auto", "order"]
"""By time where both have times, or else by name; or, declared, row by row in the order of the poses' names."""

log = logging.getLogger("thalweg")

SYMBOL = 56
"""Bits of a name below GTSAM's letter."""


@dataclass(frozen=True)
class Matching:
    """How poses and their truth are brought together."""

    within: float = 0.01
    offset: float = 0.0
    plane: Plane | None = None
    forward: Axis | None = None
    pair: Pair = "auto"


def by_time(estimate: Trajectory, truth: Trajectory, how: Matching, *, names: tuple[str, str]) -> Trajectory:
    """The truth of each pose of a trajectory; NaN where there is none at its time. Says how many there are.

    Raises `SourceError` for fewer than three.
    """
    ours, theirs = matches(estimate, truth, within=how.within, offset=how.offset)
    if not len(ours):
        error = no_match(estimate, truth, within=how.within, offset=how.offset)
        raise OptionError(f"{names[0]}, {names[1]}: {error.given}", allowed=error.allowed, advice=error.advice)
    said = f"{names[0]}: {len(ours)} of {len(estimate)} poses have a truth in {names[1]} within {how.within:g} s"
    if len(ours) < LEAST:
        raise SourceError(said, allowed=f"{LEAST} or more", advice="look at the clocks (`offset`), or widen `within`")
    log.log(logging.INFO if len(ours) == len(estimate) else logging.WARNING, "%s", said)
    found = np.full((len(estimate), truth.dims), np.nan), np.full((len(estimate), *truth.rotation.shape[1:]), np.nan)
    found[0][ours], found[1][ours] = truth.translation[theirs], truth.rotation[theirs]
    return Trajectory(*found)


def by_row(estimate: Trajectory, truth: Trajectory, how: Matching, *, names: tuple[str, str]) -> Trajectory:
    """The truth of a trajectory whose rows are frames, as KITTI's. Raises `SourceError` if its rows are others."""
    timed = [name for name, each in zip(names, (estimate, truth), strict=True) if each.stamps is not None]
    if timed and how.pair != "order":
        other = names[0] if timed[0] == names[1] else names[1]
        raise SourceError(
            f"{timed[0]} has times, and {other} has none",
            allowed="times in both, or in neither",
            advice="give its times (times, truth_times), or say that rows belong together as they stand: pair: order",
        )
    for name, each in zip(names, (estimate, truth), strict=True):
        _numbered(each, name)
    if len(estimate) != len(truth):
        both = estimate.stamps is not None and truth.stamps is not None
        raise SourceError(
            f"{names[1]!r} has {len(truth)} poses in {truth.dims}-D",
            allowed=f"{len(estimate)}, one per pose of {names[0]!r}, if rows belong together as they stand",
            advice="pair them by their times: pair: auto" if both else "give times of both (times, truth_times)",
        )
    log.info("%s: %d of %d poses have a truth in %s, row by row", names[0], len(truth), len(estimate), names[1])
    return truth


def by_name(graph: Graph, truth: Trajectory, ids: Array | None, how: Matching, *, path: str) -> Trajectory:
    """The truth of each pose of a graph: that of the same id, or in the row that the id counts; NaN where there is
    none.

    Raises `SourceError` where rows cannot be told apart by ids.
    """
    name, own = PurePosixPath(path).name, str(graph.attrs.get("source"))
    if ids is not None and how.pair != "order":
        at = np.searchsorted(ids, graph.ids).clip(max=len(ids) - 1)
        known = ids[at] == graph.ids
    else:
        _numbered(truth, name)
        at = _rows(graph, len(truth), how, name=name, own=own)
        known = np.ones(len(at), bool)
    count = int(known.sum())
    said = f"{own}: {count} of {len(graph)} poses have a truth in {name}"
    if count < min(LEAST, len(graph)):
        raise SourceError(said, allowed=f"{LEAST} or more", advice="look at the ids of both files")
    log.log(logging.INFO if known.all() else logging.WARNING, "%s", said)
    unknown = ~known
    translation, rotation = truth.translation[at].copy(), truth.rotation[at].copy()
    translation[unknown], rotation[unknown] = np.nan, np.nan
    return Trajectory(translation, rotation)


def _numbered(trajectory: Trajectory, name: str) -> None:
    """Raise `SourceError` where rows were left out, so that the others are not those of the file any more."""
    if trajectory.dropped:
        raise SourceError(
            f"{name}: {trajectory.dropped} rows were left out, and rows are told by their places in the file",
            allowed="a file of which every row is a pose, in this case",
            advice="mend these rows in the file; or give times of both, or a truth with ids (g2o, TORO)",
        )


def _rows(graph: Graph, count: int, how: Matching, *, name: str, own: str) -> Array:
    """The row of each pose in a file of rows without names."""
    order = np.argsort(np.argsort(graph.ids))
    bare = graph.ids & ((1 << SYMBOL) - 1) if len(np.unique(graph.ids >> SYMBOL)) == 1 else graph.ids
    # Names without gaps count poses; with gaps, as of keyframes, they are numbers of frames.
    gapless = int(bare.max() - bare.min()) + 1 == len(bare)
    if (how.pair == "order" or gapless) and count == len(graph):
        return order
    if how.pair == "auto" and not gapless and bare.min() >= 0 and bare.max() < count:
        return np.asarray(bare)
    what = f"one per pose of {own!r}" if gapless or how.pair == "order" else f"a row for each name up to {bare.max()}"
    raise SourceError(
        f"{name!r} has {count} poses, {own!r} has {len(graph)}, {bare.min()} to {bare.max()}",
        allowed=f"{len(graph)} rows, {what}; or a truth with ids (g2o, TORO)",
        advice="cut the truth to the poses of the graph; or, if rows are in the order of ids, say pair: order",
    )


def seen(truth: Trajectory, *, dims: int, how: Matching, path: str, camera: bool) -> Trajectory:
    """The truth in as many dims as what it is compared with: from above, if that is in 2-D.

    A truth of KITTI is in a camera's frame, others have z up, unless the recipe says in which plane. Raises
    `SourceError`.
    """
    name = PurePosixPath(path).name
    if dims == 2 and truth.dims == 3:
        plane: Plane = how.plane or ("xz" if camera else "xy")
        try:
            truth = planar(truth, plane=plane, forward=how.forward)
        except OptionError as error:
            raise SourceError(f"{name}: {error.given}", allowed=error.allowed, advice=error.advice) from None
        log.info("%s: seen from above, in its plane %s", name, plane)
    if truth.dims != dims:
        raise SourceError(
            f"{name!r} has {len(truth)} poses in {truth.dims}-D",
            allowed=f"poses in {dims}-D",
            advice="give another truth",
        )
    return truth


MIRRORED, ENOUGH = -0.8, 16
"""Correlation of a truth's turns with those that odometry measured, below which it is seen from below; and steps."""


def check_side(graph: Graph, truth: Trajectory, *, path: str) -> None:
    """Raise `SourceError` if a truth seen from above turns left where the robot measured that it turned right."""
    steps = np.flatnonzero(graph.kind == ODOMETRY)
    one, other = truth.rotation[graph.edges[steps]].T
    turned, measured = wrap(other - one), wrap(graph.edge_rotation[steps])
    known = np.isfinite(turned) & np.isfinite(measured)
    turned, measured = turned[known], measured[known]
    size = float(np.linalg.norm(turned) * np.linalg.norm(measured))
    if len(turned) >= ENOUGH and size > 0 and float(turned @ measured) < MIRRORED * size:
        raise SourceError(
            f"{PurePosixPath(path).name}: seen from above it turns the other way than {graph.attrs.get('source')} does",
            allowed="a plane seen from the side from which the graph is",
            advice="give the axes of the plane in the other order: plane: yx for xy, zx for xz, ...",
        )
