"""A graph made ready to be solved: poses in the order of elimination, edges beside their poses, weights as roots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit

from ..graph import POSITION, Graph
from . import linearise2, linearise3
from .robust import CODES, Robust
from .symbolic import Symbolic, places

SKEW = 3
"""Of information that is not symmetric."""
TINY = 1e-9
"""An eigenvalue above minus this part of the largest is rounded, not negative."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class State:
    """Poses, ranked: quaternions or angles, translations, and what the kernels want beside them."""

    rotation: Array
    translation: Array
    frame: Array
    """Rotation matrices (N, 3, 3), or cosines and sines (N, 2)."""


@dataclass(frozen=True)
class Problem:
    symbolic: Symbolic
    ends: Array
    """(M, 2) int32, ranks."""
    places: Array
    measured: tuple[Array, ...]
    """What the kernels read of each measurement."""
    weight: Array
    """(M, n, n): W upper triangular, W^T W the information."""
    loops: Array
    """(M,): whether the loss is robust here."""
    fixed: Array
    vector: Array
    """(M,): whether the error is the translation as it is, not the logarithm's."""
    loss: int
    scale: float
    edge_order: Array

    @property
    def size(self) -> int:
        return int(self.weight.shape[1])

    @property
    def lanes(self) -> int:
        return 8 if self.size == 6 else 4

    def state(self, rotation: Array, translation: Array) -> State:
        """Of poses in the order of the graph."""
        order = self.symbolic.order
        return self._state(np.ascontiguousarray(rotation[order]), np.ascontiguousarray(translation[order]))

    def _state(self, rotation: Array, translation: Array) -> State:
        if self.size == 3:
            return State(rotation, translation, linearise2.frames(rotation))
        frame = np.empty((len(rotation), 3, 3))
        linearise3.rotate(rotation, frame)
        return State(rotation, translation, frame)

    def poses(self, state: State) -> tuple[Array, Array]:
        """Rotations and translations in the order of the graph."""
        rank = self.symbolic.rank
        return state.rotation[rank], state.translation[rank]

    def cost(self, state: State) -> float:
        kernel: Any = linearise3.cost if self.size == 6 else linearise2.cost
        return float(kernel(*self._residuals(state)))

    def linearise(self, state: State, *, jacobian: Array, gradient: Array, squares: Array) -> None:
        kernel: Any = linearise3.linearise if self.size == 6 else linearise2.linearise
        kernel(*self._residuals(state), self.fixed, jacobian, gradient, squares)

    def _residuals(self, state: State) -> tuple[Any, ...]:
        """What residuals and their weights follow from, as kernels take it."""
        poses = (state.rotation, state.translation, state.frame)
        return (*poses, self.ends, *self.measured, self.weight, self.vector, self.loss, self.scale, self.loops)

    def moved(self, state: State, step: Array) -> State:
        if self.size == 3:
            return self._state(*linearise2.retract(state.rotation, state.translation, step, self.fixed))
        return self._state(*linearise3.retract(state.rotation, state.translation, state.frame, step, self.fixed))


def prepare(graph: Graph, *, symbolic: Symbolic, fixed: Array, robust: Robust | None = None) -> tuple[Problem, Array]:
    """The problem, and for each edge 0, or 1 where its information is indefinite, 2 where it is not finite."""
    ranked = symbolic.rank[graph.edges]
    sorting = np.argsort(ranked.min(1), kind="stable")
    ends = np.ascontiguousarray(ranked[sorting], np.int32)
    weight, found = _roots(graph.information, sorting)
    if (found == SKEW).any():
        # e^T Omega e is that of the symmetric part.
        information = (graph.information + graph.information.transpose(0, 2, 1)) / 2
        graph = replace(graph, information=information)
        weight, found = _roots(information, sorting)
    if (found == 1).any():
        _singular_roots(graph.information, weight, found, np.argsort(sorting))
    translation, rotation = graph.edge_translation[sorting], graph.edge_rotation[sorting]
    measured: tuple[Array, ...]
    if graph.dims == 3:
        frame = np.empty((len(ends), 3, 3))
        linearise3.rotate(rotation, frame)
        measured = (rotation, translation, frame)
    else:
        measured = (np.column_stack([translation, np.cos(rotation), np.sin(rotation), rotation]),)
    loops = np.ones(len(ends), np.bool_)
    if robust is not None and robust.loops_only:
        loops = graph.kind[sorting] == 1
    problem = Problem(
        symbolic=symbolic,
        ends=ends,
        places=places(symbolic, ends),
        measured=measured,
        weight=weight,
        loops=loops,
        fixed=fixed[symbolic.order],
        vector=(graph.kind[sorting] == POSITION) | (graph.convention == "vector"),
        loss=CODES[robust.loss] if robust else 0,
        scale=float(robust.scale) if robust else 1.0,
        edge_order=sorting,
    )
    return problem, found


def _singular_roots(information: Array, weight: Array, found: Array, place: Array) -> None:
    """Roots of matrices that are semidefinite, and singular in no direction of an axis, where pivots are not enough."""
    wrong = np.flatnonzero(found == 1)
    values, vectors = np.linalg.eigh(information[wrong])
    sound = values[:, 0] >= -TINY * values[:, -1]
    roots = np.sqrt(values[sound].clip(min=0))[:, :, None] * vectors[sound].transpose(0, 2, 1)
    weight[place[wrong[sound]]] = np.linalg.qr(roots, mode="r")
    found[wrong[sound]] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _roots(information, sorting):  # type: ignore[no-untyped-def]
    count, size = information.shape[0], information.shape[1]
    weight = np.zeros((count, size, size))
    found = np.zeros(count, np.int8)
    for e in range(count):
        source = sorting[e]
        for k in range(size):
            for i in range(k, size):
                apart = abs(information[source, k, i] - information[source, i, k])
                if not np.isfinite(information[source, k, i]):
                    found[source] = 2
                elif found[source] != 2 and not apart <= 1e-9 * abs(information[source, k, i]):
                    found[source] = SKEW
        # Pivots this small are what rounding leaves of a singular matrix: the direction is not measured. They are
        # compared with their own diagonal, for metres and radians may differ by any factor.
        for k in range(size):
            for i in range(k, size):
                value = information[source, k, i]
                for m in range(k):
                    value -= weight[e, m, k] * weight[e, m, i]
                weight[e, k, i] = value
            pivot = weight[e, k, k]
            if pivot > 1e-13 * information[source, k, k]:
                reciprocal = 1 / np.sqrt(pivot)
                for i in range(k, size):
                    weight[e, k, i] *= reciprocal
            else:
                for i in range(k, size):
                    both = abs(information[source, k, k] * information[source, i, i])
                    if weight[e, k, i] ** 2 > 1e-22 * both and found[source] == 0:
                        found[source] = 1
                    weight[e, k, i] = 0
    return weight, found
