"""A trajectory as the pose graph of its own steps."""

from __future__ import annotations

import numpy as np

from ..graph import ODOMETRY, Graph
from ..poses import between
from ..trajectory import Trajectory


def graph_of_trajectory(trajectory: Trajectory, *, source: str = "") -> Graph:
    """Poses, and an edge of odometry from each to the next; a trajectory does not tell its noise: unit information.

    All poses are fixed: another program has found them, and nothing composes them anew.
    """
    count = len(trajectory)
    steps = np.column_stack([np.arange(count - 1), np.arange(1, count)])
    now, then = trajectory[: count - 1], trajectory[1:]
    shift, turn = between((now.translation, now.rotation), (then.translation, then.rotation))
    size = 3 * (trajectory.dims - 1)
    return Graph(
        translation=trajectory.translation,
        rotation=trajectory.rotation,
        edges=steps,
        edge_translation=shift,
        edge_rotation=turn,
        information=np.tile(np.eye(size), (count - 1, 1, 1)),
        kind=np.full(count - 1, ODOMETRY, np.uint8),
        ids=np.arange(count),
        fixed=np.ones(count, dtype=bool),
        attrs={"source": source},
    )
