"""Where to begin: chordal relaxation (Carlone et al. 2015, doi:10.1109/ICRA.2015.7139836), or poses along a tree.

All is done in space; a plane graph is one whose rotations are about z.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit
from thalweg import OptionError

from .. import geometry
from ..graph import ODOMETRY, PRIOR, Graph
from ..priors import RANK
from .alignment import aligned
from .diagnose import pieces
from .factor import Matrix
from .problem import Problem

Array = np.ndarray[Any, np.dtype[Any]]
Initial = Literal["chordal", "odometry", "spanning-tree", "given"]
INITIALS = ("chordal", "odometry", "spanning-tree", "given")


def begin(graph: Graph, problem: Problem, *, initial: str) -> tuple[Array, Array]:
    """Rotations and translations of the poses, in the order of the graph."""
    if initial not in INITIALS:
        raise OptionError(f"initial {initial!r}", allowed=", ".join(INITIALS), advice="take one of these")
    if initial == "given":
        if not graph.given:
            raise OptionError("the file had no poses", allowed="chordal, odometry, spanning-tree", advice="take one")
        return graph.rotation, graph.translation
    start = _Start.of(graph, problem)
    if initial == "chordal":
        return _best(graph, problem, start)
    plain = start.kind == ODOMETRY if initial == "odometry" else np.ones(len(start.ends), np.bool_)
    return _walked(graph, problem, start, plain)


@dataclass(frozen=True)
class _Start:
    """A graph in space, its poses in the order of elimination."""

    ends: Array
    places: Array
    turned: Array
    moved: Array
    kind: Array
    part: Array
    """(N,): the connected part of each pose, in the order of the graph."""
    fixed: Array
    """(N,), in the order of elimination."""
    first: Array
    """(N,): the fixed poses and, of parts that have none, the first pose."""
    rotation: Array
    translation: Array

    @classmethod
    def of(cls, graph: Graph, problem: Problem) -> _Start:
        edges, order = problem.edge_order, problem.symbolic.order
        part = pieces(problem.symbolic)
        first = problem.fixed[problem.symbolic.rank]
        loose = np.setdiff1d(np.arange(part.max() + 1), part[first])
        first[np.unique(part, return_index=True)[1][loose]] = True
        rotation, translation = _space(graph.rotation[order], graph.dims), _pad(graph.translation[order])
        # A first pose that is not known may be anywhere.
        lost = ~(np.isfinite(rotation).all(axis=(1, 2)) & np.isfinite(translation).all(axis=1))
        rotation[lost], translation[lost] = np.eye(3), 0.0
        return cls(
            ends=problem.ends,
            places=problem.places,
            turned=_space(graph.edge_rotation[edges], graph.dims),
            moved=_pad(graph.edge_translation[edges]),
            kind=graph.kind[edges],
            part=part,
            fixed=problem.fixed,
            first=first[order],
            rotation=rotation,
            translation=translation,
        )


def _best(graph: Graph, problem: Problem, start: _Start) -> tuple[Array, Array]:
    """The chordal relaxation; where edges do not determine it, poses along a tree.

    Of a graph with priors the start of lowest cost: the relaxation with priors among its measurements, if these hold
    each part; without them, and each part then moved to them as a whole; poses along a tree, moved likewise; or those
    that the graph gives. For positions leave open which way round a part is, and priors that contradict one another how
    often it winds.
    """
    priors, every = start.kind >= PRIOR, slice(None)

    def tree() -> tuple[Array, Array]:
        return _walked(graph, problem, start, start.kind == ODOMETRY)

    if not priors.any():
        try:
            return _chordal(graph, problem, start, fixed=start.fixed, among=every)
        except _SingularError:
            return tree()
    found = [tree()]
    if graph.given and all(np.isfinite(each).all() for each in (graph.rotation, graph.translation)):
        found.append((graph.rotation, graph.translation))
    if _whole(graph, problem, start):
        with suppress(_SingularError):
            found.append(_chordal(graph, problem, start, fixed=start.fixed, among=every))
    # Priors of parts with a fixed pose stay among the measurements.
    held = np.zeros(start.part.max() + 1, np.bool_)
    held[start.part[start.fixed[problem.symbolic.rank]]] = True
    among = ~priors | held[start.part[problem.symbolic.order[start.ends[:, 0]]]]
    with suppress(_SingularError):
        found.append(_moved(graph, start, problem, _chordal(graph, problem, start, fixed=start.first, among=among)))
    return min(found, key=lambda poses: np.nan_to_num(problem.cost(problem.state(*poses)), nan=np.inf))


def _whole(graph: Graph, problem: Problem, start: _Start) -> bool:
    """Whether each part has a fixed pose, or a prior of all directions."""
    rows = np.flatnonzero(graph.kind == PRIOR)
    full = rows[_full(graph.information[rows])]
    held = np.zeros(start.part.max() + 1, np.bool_)
    held[start.part[graph.edges[full, 0]]] = True
    held[start.part[start.fixed[problem.symbolic.rank]]] = True
    return bool(held.all())


def _full(information: Array) -> Array:
    """Whether matrices are of full rank."""
    values = np.linalg.eigvalsh(information)
    found: Array = values[:, 0] > RANK * values[:, -1]
    return found


def _moved(graph: Graph, start: _Start, problem: Problem, poses: tuple[Array, Array]) -> tuple[Array, Array]:
    fixed = start.fixed[problem.symbolic.rank]
    return aligned(graph, *poses, part=start.part, fixed=fixed) if graph.priors.any() else poses


def _walked(graph: Graph, problem: Problem, start: _Start, plain: Array) -> tuple[Array, Array]:
    """Poses along a tree from fixed or first poses on; parts with priors moved to them as a whole."""
    rotation, translation = start.rotation.copy(), start.translation.copy()
    _walk(start.ends, start.turned, start.moved, plain, start.first, rotation, translation)
    return _moved(graph, start, problem, _unspaced(graph, problem, rotation, translation))


def _unspaced(graph: Graph, problem: Problem, rotation: Array, translation: Array) -> tuple[Array, Array]:
    rank, d = problem.symbolic.rank, graph.dims
    return geometry.rotation(rotation[rank][:, :d, :d]), translation[rank][:, :d]


def _space(rotation: Array, dims: int) -> Array:
    found = np.zeros((len(rotation), 3, 3))
    found[:, 2, 2] = 1
    found[:, :dims, :dims] = geometry.matrix(rotation, dims)
    return found


def _pad(translation: Array) -> Array:
    found = np.zeros((len(translation), 3))
    found[:, : translation.shape[1]] = translation
    return found


class _SingularError(Exception):
    """The relaxation does not determine all poses."""


def _chordal(
    graph: Graph, problem: Problem, start: _Start, *, fixed: Array, among: Array | slice
) -> tuple[Array, Array]:
    """First rotations as free matrices, then the nearest rotations, then translations given these.

    Of the measurements those `among` (M,) count. Raises `_SingularError`.
    """
    d, edges = graph.dims, problem.edge_order
    information = graph.information[edges]
    angular = np.trace(information[:, d:, d:], axis1=1, axis2=2) / (2 * d - 3)
    priors = np.flatnonzero(start.kind >= PRIOR)
    # What a prior says of some axes of a rotation is not said of the matrix.
    angular[priors[~_full(information[priors][:, d:, d:])]] = 0.0
    linear = np.zeros((len(edges), 3, 3))
    linear[:, 2, 2] = 1
    linear[:, :d, :d] = information[:, :d, :d]
    rotation, translation = start.rotation.copy(), start.translation.copy()
    ends, turned, moved = start.ends[among], start.turned[among], start.moved[among]
    places, angular, linear = start.places[among], angular[among], linear[among]
    system = Matrix.empty(problem.symbolic, 3, "fp64")
    right = np.zeros((3, 4 * len(graph)))
    _rotations(ends, places, turned, angular, fixed, rotation, system.lower, system.diagonal, right)
    _solve(system, right[: 1 if d == 2 else 3])
    system.clear()
    _nearest(right, fixed, d == 2, rotation)
    right[:] = 0
    _translations(
        ends, places, turned, moved, linear, fixed, rotation, translation, system.lower, system.diagonal, right[0]
    )
    _solve(system, right[:1])
    free = ~fixed
    translation[free] = right[0].reshape(-1, 4)[free, :3]
    return _unspaced(graph, problem, rotation, translation)


def _solve(system: Matrix, right: Array) -> None:
    column, _ = system.factorise()
    if column >= 0:
        raise _SingularError
    for each in right:
        system.solve(each)


@njit(cache=True, nogil=True, error_model="numpy")
def _rotations(ends, places, turned, angular, fixed, rotation, lower, diagonal, right):  # type: ignore[no-untyped-def]
    """Least squares of R_j - R_i Z in the rows of R, with blocks padded to 3 x 4; fixed rotations are known."""
    for n in range(len(fixed)):
        if fixed[n]:
            for k in range(3):
                diagonal[n * 12 + 5 * k] = 1
                for m in range(3):
                    right[m, 4 * n + k] = rotation[n, m, k]
    for e in range(len(ends)):
        i, j, weight = ends[e, 0], ends[e, 1], angular[e]
        for k in range(3):
            if not fixed[j]:
                diagonal[j * 12 + 5 * k] += weight
            if i != j and not fixed[i]:
                diagonal[i * 12 + 5 * k] += weight
        if i == j:
            if not fixed[j]:
                for m in range(3):
                    for k in range(3):
                        right[m, 4 * j + k] += weight * turned[e, m, k]
        elif fixed[i] or fixed[j]:
            for m in range(3):
                for k in range(3):
                    for n in range(3):
                        if fixed[i] and not fixed[j]:
                            right[m, 4 * j + k] += weight * turned[e, n, k] * rotation[i, m, n]
                        elif fixed[j] and not fixed[i]:
                            right[m, 4 * i + k] += weight * turned[e, k, n] * rotation[j, m, n]
        else:
            at = places[e] * 12
            for k in range(3):
                for m in range(3):
                    # Row j, column i has -Z^T; by columns, the larger number is the row.
                    lower[at + 4 * k + m] -= weight * (turned[e, k, m] if j > i else turned[e, m, k])


@njit(cache=True, nogil=True, error_model="numpy")
def _translations(  # type: ignore[no-untyped-def]
    ends, places, turned, moved, linear, fixed, rotation, translation, lower, diagonal, right
):
    """Least squares of t_j - t_i - R_i t_ij, weighed in the frame of what was measured."""
    frame, part, block, apart = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3)), np.empty(3)
    for n in range(len(fixed)):
        if fixed[n]:
            for k in range(3):
                diagonal[n * 12 + 5 * k] = 1
                right[4 * n + k] = translation[n, k]
    for e in range(len(ends)):
        i, j = ends[e, 0], ends[e, 1]
        for k in range(3):
            apart[k] = 0.0
            for m in range(3):
                if i == j:
                    frame[k, m] = turned[e, k, m]
                else:
                    frame[k, m] = 0.0
                    for n in range(3):
                        frame[k, m] += rotation[i, k, n] * turned[e, n, m]
                    apart[k] += rotation[i, k, m] * moved[e, m]
            if i == j:
                apart[k] = moved[e, k]
        for k in range(3):
            for m in range(3):
                part[k, m] = 0.0
                for n in range(3):
                    part[k, m] += frame[k, n] * linear[e, n, m]
        for k in range(3):
            for m in range(3):
                block[k, m] = 0.0
                for n in range(3):
                    block[k, m] += part[k, n] * frame[m, n]
        if i != j:
            # A fixed end is known.
            for k in range(3):
                if fixed[i]:
                    apart[k] += translation[i, k]
                if fixed[j]:
                    apart[k] -= translation[j, k]
        for k in range(3):
            for m in range(3):
                if not fixed[j]:
                    diagonal[j * 12 + 4 * k + m] += block[k, m]
                    right[4 * j + k] += block[k, m] * apart[m]
                if i != j and not fixed[i]:
                    diagonal[i * 12 + 4 * k + m] += block[k, m]
                    right[4 * i + k] -= block[k, m] * apart[m]
                if i != j and not fixed[i] and not fixed[j]:
                    lower[places[e] * 12 + 4 * k + m] -= block[k, m]


def _nearest(right: Array, fixed: Array, plane: bool, rotation: Array) -> None:
    hard = np.zeros(len(fixed), np.bool_)
    _polar(right, fixed, plane, rotation, hard)
    if hard.any():
        u, _, v = np.linalg.svd(rotation[hard])
        u[:, :, 2] *= np.sign(np.linalg.det(u) * np.linalg.det(v))[:, None]
        rotation[hard] = u @ v


@njit(cache=True, nogil=True, error_model="numpy")
def _polar(right, fixed, plane, rotation, hard):  # type: ignore[no-untyped-def]
    """The rotations nearest to the matrices whose rows are in `right`, by Newton's iteration for the polar factor.

    Reflections, and what is nearly flat, are left as they are, and marked `hard`.
    """
    m, c = np.empty((3, 3)), np.empty((3, 3))
    for n in range(len(fixed)):
        if fixed[n]:
            continue
        if plane:
            x, y = right[0, 4 * n], right[0, 4 * n + 1]
            length = np.sqrt(x * x + y * y)
            if length > 0:
                x, y = x / length, y / length
            else:
                x, y = 1.0, 0.0
            rotation[n, 0, 0], rotation[n, 0, 1], rotation[n, 1, 0], rotation[n, 1, 1] = x, y, -y, x
            continue
        size = 0.0
        for k in range(3):
            for o in range(3):
                m[k, o] = right[k, 4 * n + o]
                size += m[k, o] ** 2
        if not size > 0:
            for k in range(3):
                m[k, k] = 1.0
        for turn in range(30):
            for k in range(3):
                a, b = (k + 1) % 3, (k + 2) % 3
                for o in range(3):
                    u, v = (o + 1) % 3, (o + 2) % 3
                    c[k, o] = m[a, u] * m[b, v] - m[a, v] * m[b, u]
            det = m[0, 0] * c[0, 0] + m[0, 1] * c[0, 1] + m[0, 2] * c[0, 2]
            if turn == 0 and det <= 1e-6 * size**1.5:
                hard[n] = True
                break
            # Scaled by the determinant, so that three or four turns are enough.
            scale = abs(det) ** (-1 / 3)
            change = 0.0
            for k in range(3):
                for o in range(3):
                    value = 0.5 * (scale * m[k, o] + c[k, o] / (scale * det))
                    change = max(change, abs(value - m[k, o]))
                    m[k, o] = value
            if change < 1e-14:
                break
        for k in range(3):
            for o in range(3):
                rotation[n, k, o] = m[k, o]


@njit(cache=True, nogil=True)
def _walk(ends, turned, moved, plain, fixed, rotation, translation):  # type: ignore[no-untyped-def]
    """Place each pose from a neighbour, breadth first; along `plain` edges as far as they lead, then along others."""
    count = len(fixed)
    starts = np.zeros(count + 1, np.int64)
    for e in range(len(ends)):
        starts[ends[e, 0] + 1] += 1
        starts[ends[e, 1] + 1] += 1
    for n in range(count):
        starts[n + 1] += starts[n]
    place, edges = np.empty(count, np.int64), np.empty(starts[count], np.int64)
    for n in range(count):
        place[n] = starts[n]
    for e in range(len(ends)):
        for side in range(2):
            n = ends[e, side]
            edges[place[n]] = e
            place[n] += 1
    seen = np.zeros(count, np.bool_)
    # Fixed poses are known.
    queue, last = np.empty(count, np.int64), 0
    for n in range(count):
        if fixed[n]:
            seen[n] = True
            queue[last] = n
            last += 1
    first, other = 0, 0
    while first < last or other < last:
        if first < last:
            n, only = queue[first], True
            first += 1
        else:
            n, only = queue[other], False
            other += 1
        for p in range(starts[n], starts[n + 1]):
            e = edges[p]
            i, j = ends[e, 0], ends[e, 1]
            to = j if i == n else i
            if seen[to] or (only and not plain[e]):
                continue
            for k in range(3):
                for m in range(3):
                    rotation[to, k, m] = 0.0
                    for o in range(3):
                        rotation[to, k, m] += rotation[n, k, o] * (turned[e, o, m] if to == j else turned[e, m, o])
            for k in range(3):
                translation[to, k] = translation[n, k]
                for m in range(3):
                    if to == j:
                        translation[to, k] += rotation[n, k, m] * moved[e, m]
                    else:
                        translation[to, k] -= rotation[to, k, m] * moved[e, m]
            seen[to] = True
            queue[last] = to
            last += 1
            if not only:
                break
