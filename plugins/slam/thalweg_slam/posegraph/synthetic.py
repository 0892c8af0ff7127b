"""Graphs of any size for tests and for growth: a walk through a grid in space that closes loops with its neighbours."""

from __future__ import annotations

import numpy as np

from .. import geometry
from ..graph import LOOP, ODOMETRY, Graph


def grid(
    count: int, *, seed: int, dims: int = 3, width: int = 10, linear: float = 0.02, angular: float = 0.01
) -> Graph:
    """`count` poses 1 m apart, row by row there and back, layers of `width` x `width` in space.

    Each pose is joined with the next, and with the neighbour in the row, or layer, before. `linear` (m) and `angular`
    (rad) are the standard deviations of what is measured, and of the information. The poses are the truth.
    """
    draw = np.random.default_rng(seed)
    n = np.arange(count)
    row, along = divmod(n, width)
    column = np.where(row % 2 == 0, along, width - 1 - along)
    places: dict[tuple[int, ...], int] = {}
    if dims == 2:
        cells = np.stack([column, row], 1)
    else:
        layer, depth = divmod(row, width)
        cells = np.stack([column, np.where(layer % 2 == 0, depth, width - 1 - depth), layer], 1)
    loops = []
    for k, cell in enumerate(map(tuple, cells.tolist())):
        places[cell] = k
        for axis in range(1, dims):
            before = (*cell[:axis], cell[axis] - 1, *cell[axis + 1 :])
            other = places.get(before)
            if other is not None and other != k - 1:
                loops.append((other, k))
    edges = np.concatenate([np.stack([n[:-1], n[1:]], 1), np.array(loops, np.int64).reshape(-1, 2)])
    rotation = draw.uniform(-np.pi, np.pi, count) if dims == 2 else _quaternions(draw, count)
    truth = rotation, cells.astype(float)
    one, other_end = ((each[0][edges[:, k]], each[1][edges[:, k]]) for k, each in ((0, truth), (1, truth)))
    scale = np.repeat([linear, angular], [dims, 2 * dims - 3])
    noise = geometry.exp(draw.normal(size=(len(edges), len(scale))) * scale)
    measured = geometry.compose(geometry.compose(geometry.inverse(one), other_end), noise)
    return Graph(
        translation=truth[1],
        rotation=rotation,
        edges=edges,
        edge_translation=measured[1],
        edge_rotation=measured[0],
        information=np.broadcast_to(np.diag(scale**-2), (len(edges), len(scale), len(scale))).copy(),
        kind=np.where(np.arange(len(edges)) < count - 1, ODOMETRY, LOOP).astype(np.uint8),
        ids=n.astype(np.int64),
        fixed=n == 0,
    )


def _quaternions(draw: np.random.Generator, count: int) -> np.ndarray:
    found = draw.normal(size=(count, 4))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))
