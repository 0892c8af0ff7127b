"""Visual odometry: bundle adjustment over windows of cameras, and the chain of what they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from thalweg import OptionError, RunError, ThalwegError

from ..graph import ODOMETRY, Graph
from .centring import centred
from .diagnosis import inspect
from .information import covariance
from .levenberg import Adjustment, Linear, Precision, adjust
from .problem import Array, Bundle
from .robust import Kernel, Loss
from .rotation import cross, exponential

TURNS = 5


@dataclass(frozen=True)
class Window:
    """Some consecutive cameras and the points that they see, with the numbers that they have in the whole."""

    cameras: Array
    points: Array
    bundle: Bundle


@dataclass(frozen=True)
class Solved:
    """A window's relative poses from each camera to the next."""

    cameras: Array
    turns: Array
    """(n - 1, 3, 3): T_i^-1 T_j of camera-to-world poses."""
    moves: Array
    covariances: Array
    """(n - 1, 6, 6), in the order (x, y, z, rotation)."""
    adjustment: Adjustment
    left_out: int
    """Observations whose point was, or came to lie, behind the camera."""


def windows(bundle: Bundle, *, size: int, stride: int = 1) -> list[Window]:
    """Windows of `size` cameras, `stride` apart; the last ends with the last camera."""
    if not 2 <= size <= len(bundle) or stride < 1:
        raise OptionError(
            f"size = {size!r}, stride = {stride!r} of {len(bundle)} cameras",
            allowed=f"sizes of 2 to {len(bundle)}, strides of 1 or more",
        )
    starts = list(range(0, len(bundle) - size + 1, stride))
    if starts[-1] + size < len(bundle):
        starts.append(len(bundle) - size)
    least = 1 if bundle.model == "stereo" else 2
    found = []
    for start in starts:
        cameras = np.arange(start, start + size)
        part, points = bundle.select(cameras, views=least)
        names = {"cameras": cameras.tolist(), "points": points.tolist()}
        found.append(Window(cameras, points, replace(part, attrs={**part.attrs, **names})))
    return found


def solve_window(
    window: Window,
    *,
    precision: Precision = "mixed-adaptive",
    solver: Linear = "schur",
    robust: Kernel = "squared",
    width: float = 1.0,
    tolerance: float = 1e-6,
) -> Solved:
    """Adjust a window with its first camera held, and again without observations of points that end behind a camera.

    Raises what `adjust` raises, with the window's cameras.
    """
    try:
        (bundle, home), left_out = centred(window.bundle.with_fixed(0)), 0
        for turn in range(TURNS):
            wrong = np.flatnonzero(~(bundle.depth() > 0))
            if turn and not len(wrong):
                break
            bundle, _ = bundle.without(wrong)
            left_out += len(wrong)
            inspect(bundle)
            # What it would warn of is left out in the next turn.
            result = adjust(
                bundle,
                precision=precision,
                solver=solver,
                robust=robust,
                width=width,
                tolerance=tolerance,
                check=False,
            )
            bundle = result.bundle
        inspect(bundle)
        spread = covariance(bundle, loss=Loss(robust, width))
    except Exception as error:
        where = f"in the window of cameras {window.cameras[0]} to {window.cameras[-1]}"
        if isinstance(error, ThalwegError):
            error.given = f"{where}: {error.given}"
        else:
            error.add_note(where)
        raise
    d = bundle.camera.parameters
    turns, moves = exponential(bundle.cameras[:, :3]), bundle.cameras[:, 3:6]
    relative = turns[:-1] @ turns[1:].transpose(0, 2, 1)
    shift = moves[:-1] - np.einsum("nij,nj->ni", relative, moves[1:])
    found = []
    for k in range(len(turns) - 1):
        rows = np.concatenate([np.arange(k * d, k * d + 6), np.arange(k * d + d, k * d + d + 6)])
        slope = np.concatenate(
            [_adjoint(relative[k].T, -relative[k].T @ shift[k]) @ _twist(moves[k]), -_twist(moves[k + 1])], axis=1
        )
        found.append(slope @ spread[np.ix_(rows, rows)] @ slope.T)
    result = replace(result, bundle=home(result.bundle))
    return Solved(window.cameras, relative, shift, np.array(found), result, left_out)


def adjust_windows(
    bundle: Bundle,
    *,
    size: int,
    stride: int = 1,
    precision: Precision = "mixed-adaptive",
    solver: Linear = "schur",
    robust: Kernel = "squared",
    width: float = 1.0,
    scheduler: Literal["synchronous", "threads", "processes"] | None = "synchronous",
) -> Graph:
    """Odometry: every window adjusted by itself, and relative poses of consecutive cameras chained into a graph.

    Dask maps the windows; with `scheduler=None`, on the cluster of the active client. Windows of cameras that do not
    measure lengths are brought to the scale of the first by the distances of the cameras that they share.
    `attrs["windows"]` has what each window did.
    """
    if bundle.model != "stereo" and size < len(bundle) and stride > size - 2:
        raise OptionError(
            f"stride = {stride!r}, size = {size!r}",
            allowed=f"strides of at most {max(size - 2, 1)}",
            advice="let windows of one camera without lengths share two poses at least, which carry the scale",
        )
    from dask.base import compute
    from dask.delayed import delayed

    parts = windows(bundle, size=size, stride=stride)
    run = delayed(solve_window)
    tasks = [run(each, precision=precision, solver=solver, robust=robust, width=width) for each in parts]
    options = {} if scheduler is None else {"scheduler": scheduler}
    return chain(bundle, compute(*tasks, **options))


def chain(bundle: Bundle, solved: Sequence[Solved]) -> Graph:
    """The graph of odometry: of each pair of cameras, the window where it lies furthest from the ends."""
    from scipy.spatial.transform import Rotation

    count = len(bundle)
    scales = _scales(solved) if bundle.model != "stereo" else np.ones(len(solved))
    best = np.full(count - 1, -1)
    depth = np.full(count - 1, -1)
    for number, each in enumerate(solved):
        inside = np.minimum(np.arange(len(each.turns)), np.arange(len(each.turns))[::-1])
        better = inside > depth[each.cameras[:-1]]
        best[each.cameras[:-1][better]] = number
        depth[each.cameras[:-1][better]] = inside[better]
    if (best < 0).any():
        raise RunError(f"no window holds cameras {np.flatnonzero(best < 0).tolist()!r} and their next")
    turns, moves, information = np.empty((count - 1, 3, 3)), np.empty((count - 1, 3)), np.empty((count - 1, 6, 6))
    for pair, number in enumerate(best):
        each, scale = solved[number], scales[number]
        k = pair - each.cameras[0]
        turns[pair], moves[pair] = each.turns[k], scale * each.moves[k]
        gain = np.diag([scale] * 3 + [1.0] * 3)
        information[pair] = inverse(gain @ each.covariances[k] @ gain)
    place, turn = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))
    first = exponential(bundle.cameras[:1, :3])[0].T
    turn[0], place[0] = first, -first @ bundle.cameras[0, 3:6]
    for k in range(count - 1):
        place[k + 1] = place[k] + turn[k] @ moves[k]
        turn[k + 1] = turn[k] @ turns[k]
    report = [
        {
            "cameras": [int(each.cameras[0]), int(each.cameras[-1])],
            "cost": each.adjustment.cost,
            "iterations": each.adjustment.iterations,
            "inner": int(each.adjustment.inner.sum()),
            "fallbacks": each.adjustment.fallbacks,
            "converged": each.adjustment.converged,
            "left_out": each.left_out,
            "scale": float(scale),
        }
        for each, scale in zip(solved, scales, strict=True)
    ]
    steps = np.arange(count - 1)
    fixed = np.zeros(count, bool)
    fixed[0] = True
    return Graph(
        translation=place,
        rotation=Rotation.from_matrix(turn).as_quat(),
        edges=np.stack([steps, steps + 1], axis=1),
        edge_translation=moves,
        edge_rotation=Rotation.from_matrix(turns).as_quat(),
        information=information,
        kind=np.full(count - 1, ODOMETRY, np.uint8),
        ids=np.asarray(bundle.attrs.get("images", np.arange(count)), np.int64),
        fixed=fixed,
        attrs={"source": bundle.attrs.get("source", ""), "windows": report},
    )


def _scales(solved: Sequence[Solved]) -> Array:
    """Of each window, by the distances between cameras that it shares with the one before."""
    scales = np.ones(len(solved))
    for k in range(1, len(solved)):
        before, here = solved[k - 1], solved[k]
        _, i, j = np.intersect1d(before.cameras[:-1], here.cameras[:-1], return_indices=True)
        lengths = np.linalg.norm(before.moves[i], axis=1), np.linalg.norm(here.moves[j], axis=1)
        if not len(i) or not lengths[1].sum() > 0 or not lengths[0].sum() > 0:
            raise RunError(
                f"cameras {here.cameras[0]} to {before.cameras[-1]}, which two windows share, do not move",
                advice="use larger windows: the scale is carried by the distances between shared cameras",
            )
        scales[k] = scales[k - 1] * lengths[0].sum() / lengths[1].sum()
    return scales


def _twist(move: Array) -> Array:
    """(6, 6): from a step (rotation, translation) of a camera to the twist (v, w) of T <- exp(v, w) T."""
    out = np.zeros((6, 6))
    out[:3, 3:] = np.eye(3)
    out[:3, :3] = cross(move[None])[0]
    out[3:, :3] = np.eye(3)
    return out


def _adjoint(turn: Array, move: Array) -> Array:
    """(6, 6), of twists (v, w)."""
    out = np.zeros((6, 6))
    out[:3, :3] = out[3:, 3:] = turn
    out[:3, 3:] = cross(move[None])[0] @ turn
    return out


def inverse(spread: Array) -> Array:
    """Of a covariance, whose smallest deviations count as a millionth of its largest."""
    values, vectors = np.linalg.eigh(0.5 * (spread + spread.T))
    return np.asarray((vectors / np.maximum(values, 1e-12 * values[-1])) @ vectors.T)
