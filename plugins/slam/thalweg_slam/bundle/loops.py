"""Loops: relative poses of stereo cameras far apart in time that see the same points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from thalweg import OptionError

from ..graph import LOOP, Graph
from ..trajectory import umeyama
from .odometry import Window, inverse, solve_window
from .problem import Array, Bundle
from .robust import Kernel


def loop_graph(
    bundle: Bundle, *, shared: int = 20, gap: int = 30, most: int = 3, robust: Kernel = "squared", width: float = 1.0
) -> Graph:
    """The cameras, and an edge for each pair `gap` or more apart that has `shared` points in common.

    Of those a camera is joined to the `most` earlier ones with which it shares the most. An edge is what adjusting the
    two cameras by themselves finds, with its covariance. Raises `OptionError` for cameras that do not measure lengths.
    """
    from scipy.spatial.transform import Rotation

    if bundle.model != "stereo":
        raise OptionError(
            f"loops of {bundle.model!r} cameras",
            allowed="stereo",
            advice="use stereo cameras: two without lengths tell the direction of a shift, and not its size",
        )
    count = len(bundle)
    pairs = _pairs(bundle, shared=shared, gap=gap, most=most)
    turns, moves, information = np.empty((len(pairs), 3, 3)), np.empty((len(pairs), 3)), np.empty((len(pairs), 6, 6))
    for k, pair in enumerate(pairs):
        part, points = bundle.select(pair, views=2)
        found = solve_window(Window(pair, points, _started(part)), robust=robust, width=width)
        turns[k], moves[k], information[k] = found.turns[0], found.moves[0], inverse(found.covariances[0])
    back = Rotation.from_rotvec(bundle.cameras[:, :3]).inv()
    fixed = np.arange(count) == 0
    return Graph(
        translation=-back.apply(bundle.cameras[:, 3:6]),
        rotation=back.as_quat(),
        edges=pairs.astype(np.int64),
        edge_translation=moves,
        edge_rotation=Rotation.from_matrix(turns).as_quat() if len(pairs) else np.empty((0, 4)),
        information=information,
        kind=np.full(len(pairs), LOOP, np.uint8),
        ids=np.asarray(bundle.attrs.get("images", np.arange(count)), np.int64),
        fixed=fixed,
        attrs={"source": bundle.attrs.get("source", "")},
    )


def _pairs(bundle: Bundle, *, shared: int, gap: int, most: int) -> Array:
    """(n, 2): an earlier camera, and a later one."""
    from scipy.sparse import coo_array

    camera, point = bundle.observations.T
    sees = coo_array((np.ones(len(camera), np.int32), (camera, point)), (len(bundle), len(bundle.points))).tocsr()
    common = (sees @ sees.T).toarray()
    later, earlier = np.indices(common.shape)
    common[(later - earlier < gap) | (common < shared)] = 0
    found = []
    for j, row in enumerate(common):
        best = np.argsort(-row, kind="stable")[:most]
        found += [(int(i), j) for i in np.sort(best) if row[i] > 0]
    return np.array(found, np.int64).reshape(-1, 2)


def _started(pair: Bundle) -> Bundle:
    """Two cameras and their points, from where each sees the points by itself: the way between may have drifted."""
    from scipy.spatial.transform import Rotation

    fx, fy, cx, cy, baseline = pair.calibration
    left, right, down = pair.measured.T
    depth = fx * baseline / np.maximum(left - right, 1e-3)
    local = np.stack([(left - cx) / fx * depth, (down - cy) / fy * depth, depth], axis=1)
    order = np.argsort(pair.observations[:, 1], kind="stable")
    at, side = local[order], pair.observations[order, 0]
    first, second = at[side == 0], at[side == 1]
    near = np.argsort(first[:, 2], kind="stable")[: max(8, len(first) // 2)]
    turn, move, _ = umeyama(first[near], second[near])
    cameras = np.zeros((2, 6))
    cameras[1] = np.concatenate([Rotation.from_matrix(turn).as_rotvec(), move])
    return replace(pair, cameras=cameras, points=first)
