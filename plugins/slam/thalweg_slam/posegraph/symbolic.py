"""Where the factor of a block matrix has blocks: known from the graph alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from .ordering import neighbourhoods, order

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Symbolic:
    """Blocks below the diagonal of L, by columns, rows ascending; nodes are numbered as they are eliminated."""

    order: Array
    """(N,): the node eliminated first, second, ..."""
    rank: Array
    """(N,): when a node is eliminated."""
    starts: Array
    """(N + 1,) int64: where a column's blocks begin."""
    rows: Array
    """(blocks,) int32."""
    parent: Array
    """(N,): the elimination tree; -1 at a root."""

    @property
    def blocks(self) -> int:
        return int(self.starts[-1])


def analyse(count: int, edges: Array) -> Symbolic:
    """Order, elimination tree and structure for `count` nodes joined by `edges` (M, 2)."""
    starts, neighbours = neighbourhoods(count, edges)
    first = order(count, starts, neighbours)
    found, rank, begin, rows, parent = _structure(first, starts, neighbours)
    return Symbolic(found, rank, begin, rows, parent)


def places(symbolic: Symbolic, ranked: Array) -> Array:
    """For each edge, its ends being ranks, its block below the diagonal; -1 where it joins a node with itself."""
    return np.asarray(_places(symbolic.starts, symbolic.rows, ranked))


@njit(cache=True, nogil=True)
def _tree(found, rank, starts, neighbours):  # type: ignore[no-untyped-def]
    count = len(found)
    parent, ancestor = np.empty(count, np.int32), np.empty(count, np.int32)
    for r in range(count):
        parent[r] = ancestor[r] = -1
    for r in range(count):
        node = found[r]
        for p in range(starts[node], starts[node + 1]):
            at = rank[neighbours[p]]
            while at >= 0 and at < r:
                up = ancestor[at]
                ancestor[at] = r
                if up < 0:
                    parent[at] = r
                    break
                at = up
                if at == r:
                    break
    return parent


@njit(cache=True, nogil=True)
def _structure(first, starts, neighbours):  # type: ignore[no-untyped-def]
    count = len(first)
    rank = np.empty(count, np.int32)
    for r in range(count):
        rank[first[r]] = r
    parent = _tree(first, rank, starts, neighbours)
    # Postorder: subtrees in one piece, so that the columns of a factor are used soon after they were made.
    child, sibling = np.empty(count, np.int32), np.empty(count, np.int32)
    mark, tree = np.empty(count, np.int32), np.empty(count, np.int32)
    for r in range(count):
        child[r] = sibling[r] = mark[r] = tree[r] = -1
    for r in range(count - 1, -1, -1):
        if parent[r] >= 0:
            sibling[r] = child[parent[r]]
            child[parent[r]] = r
    post = np.empty(count, np.int32)
    stack = np.empty(count, np.int32)
    put = 0
    for root in range(count):
        if parent[root] >= 0:
            continue
        stack[0] = root
        top = 1
        while top > 0:
            at = stack[top - 1]
            if child[at] >= 0:
                stack[top] = child[at]
                top += 1
                child[at] = sibling[child[at]]
            else:
                top -= 1
                post[put] = at
                put += 1
    found = np.empty(count, np.int32)
    moved = np.empty(count, np.int32)
    for r in range(count):
        found[r] = first[post[r]]
        moved[post[r]] = r
    for r in range(count):
        if parent[r] >= 0:
            tree[moved[r]] = moved[parent[r]]
    for r in range(count):
        rank[found[r]] = r
    # Row r of L has the columns on the paths from its neighbours up to r.
    begin = np.zeros(count + 1, np.int64)
    for r in range(count):
        mark[r] = r
        node = found[r]
        for p in range(starts[node], starts[node + 1]):
            at = rank[neighbours[p]]
            if at < r:
                while mark[at] != r:
                    mark[at] = r
                    begin[at + 1] += 1
                    at = tree[at]
    for r in range(count):
        begin[r + 1] += begin[r]
    rows = np.empty(begin[count], np.int32)
    place = np.empty(count, np.int64)
    for r in range(count):
        place[r] = begin[r]
        mark[r] = -1
    for r in range(count):
        mark[r] = r
        node = found[r]
        for p in range(starts[node], starts[node + 1]):
            at = rank[neighbours[p]]
            if at < r:
                while mark[at] != r:
                    mark[at] = r
                    rows[place[at]] = r
                    place[at] += 1
                    at = tree[at]
    return found, rank, begin, rows, tree


@njit(cache=True, nogil=True)
def _places(starts, rows, ranked):  # type: ignore[no-untyped-def]
    found = np.empty(len(ranked), np.int64)
    for e in range(len(ranked)):
        found[e] = -1
        column, row = min(ranked[e, 0], ranked[e, 1]), max(ranked[e, 0], ranked[e, 1])
        if column != row:
            low, high = starts[column], starts[column + 1]
            while low < high:
                middle = (low + high) // 2
                if rows[middle] < row:
                    low = middle + 1
                else:
                    high = middle
            found[e] = low
    return found
