"""Poses composed along a tree of edges, odometry before loops: what a robot knows that never looks back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph import ODOMETRY, PRIOR
from .poses import compose, identity, invert, normalise

Array = np.ndarray[Any, np.dtype[Any]]


def composed(
    edges: Array,
    measured: tuple[Array, Array],
    kind: Array,
    *,
    start: tuple[Array, Array],
    roots: Array,
) -> tuple[tuple[Array, Array], Array]:
    """Poses from the edges of a spanning tree, and the number of the root that each hangs on.

    A part of the graph hangs on its first pose in `roots` (bool), or else on its first pose; the roots stay at `start`.
    Trees of any depth take log2(depth) steps: every pose is composed with its ancestor, and then has that one's.
    """
    parent, edge, forward = _tree(edges, kind, roots)
    count, dims = start[0].shape
    translation, rotation = identity(count, dims=dims)
    child = np.flatnonzero(edge >= 0)
    steps = measured[0][edge[child]], measured[1][edge[child]]
    back, ahead = invert(*steps), forward[child]
    translation[child] = np.where(ahead[:, None], steps[0], back[0])
    rotation[child] = np.where(ahead if dims == 2 else ahead[:, None], steps[1], back[1])
    while (parent != parent[parent]).any():
        translation, rotation = compose(translation[parent], rotation[parent], then=(translation, rotation))
        parent = parent[parent]
    found = compose(start[0][parent], start[1][parent], then=(translation, rotation))
    return (found[0], normalise(found[1], dims=dims)), parent


def _tree(edges: Array, kind: Array, roots: Array) -> tuple[Array, Array, Array]:
    """The parent of each pose (a root's is itself), the edge to it (-1), and whether that edge leads away from it."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

    count = len(roots)
    real = np.flatnonzero((kind < PRIOR) & (edges[:, 0] != edges[:, 1]))
    ends = np.sort(edges[real], axis=1)
    # Of edges between the same two poses the cheapest stays: weights are ranks, and odometry comes first.
    order = real[np.lexsort((real, kind[real] != ODOMETRY))]
    rank = np.empty(len(edges), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    keys = ends[:, 0].astype(np.int64) * count + ends[:, 1]
    by = np.lexsort((rank[real], keys))
    first = by[np.concatenate([[True], keys[by][1:] != keys[by][:-1]])] if len(by) else by
    weights = coo_array((rank[real][first].astype(np.float64), (ends[first, 0], ends[first, 1])), shape=(count, count))
    tree = minimum_spanning_tree(weights.tocsr())
    parent, edge = np.arange(count), np.full(count, -1)
    _, part = connected_components(tree, directed=False)
    starts = {int(part[i]): int(i) for i in reversed(range(count))}
    starts |= {int(part[i]): int(i) for i in reversed(np.flatnonzero(roots))}
    both = (tree + tree.T).tocsr()
    for root in starts.values():
        nodes, before = breadth_first_order(both, root, directed=True)
        parent[nodes[1:]] = before[nodes[1:]]
    child = np.flatnonzero(parent != np.arange(count))
    edge[child] = order[np.asarray(both[child, parent[child]]).ravel().astype(np.int64) - 1]
    forward = np.zeros(count, dtype=bool)
    forward[child] = edges[edge[child], 0] == parent[child]
    return parent, edge, forward
