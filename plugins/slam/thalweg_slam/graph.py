"""A pose graph as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Convention = Literal["log", "vector"]
"""In 3-D the information weighs the rotation vector, or the vector part of the quaternion (g2o: half the angle)."""

ODOMETRY, LOOP, PRIOR, POSITION = 0, 1, 2, 3
"""POSITION is a prior of the translation alone: its error is the plain difference, in the frame of its rotation."""

AGREES = 25.0
"""chi2 of an edge that agrees with given poses, at most."""


@dataclass(frozen=True)
class Graph:
    """Poses and what was measured between them, in d = 2 or 3 dims; all float64.

    Rotations are unit quaternions (x, y, z, w), shape (N, 4), in 3-D, and angles in rad, shape (N,), in 2-D.
    Information is (M, 6, 6) in the order (x, y, z, rotation x, y, z), and (M, 3, 3) in the order (x, y, angle).
    """

    translation: Array
    """(N, d), m: where optimisation begins, unless it is told otherwise."""
    rotation: Array
    edges: Array
    """(M, 2): numbers of two poses, from and to. A prior has one pose twice, and measures it in the world."""
    edge_translation: Array
    edge_rotation: Array
    information: Array
    kind: Array
    """(M,) uint8: 0 odometry, 1 loop, 2 prior, 3 prior of the position alone."""
    ids: Array
    """(N,) int64: the names of the poses in the file."""
    fixed: Array
    """(N,) bool: poses that stay where they are (the gauge)."""
    convention: Convention = "log"
    given: bool = True
    """Whether the file had poses; without, they are composed of odometry."""
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def dims(self) -> int:
        return int(self.translation.shape[1])

    @property
    def priors(self) -> Array:
        """(M,) bool: edges of one pose, which measure it in the world."""
        found: Array = self.kind >= PRIOR
        return found

    def __len__(self) -> int:
        return len(self.translation)


def without(graph: Graph, edges: Array) -> Graph:
    """The graph without some of its edges, (M,) bool."""
    names = ("edges", "edge_translation", "edge_rotation", "information", "kind")
    return replace(graph, **{name: getattr(graph, name)[~edges] for name in names})


def kinds(edges: Array, *, ids: Array, priors: Array, chi2: Array | None = None) -> Array:
    """Which edges are odometry, and which are loops, (M,) uint8; `priors` (M,) has what the others are, else 0.

    Odometry is one edge between two poses whose ids follow one another among all ids (and have one letter, if they are
    GTSAM's symbols); all further edges between the two are loops, for an outlier there must not pass for odometry. Of
    several the one listed first is odometry, unless it contradicts the given poses and another agrees with them: `chi2`
    (M,) of each edge at the given poses tells, if they are given.
    """
    low = edges.min(axis=1, initial=len(ids))
    follows = (priors == 0) & (np.abs(edges[:, 1] - edges[:, 0]) == 1)
    letters = np.maximum(ids, 0) >> 56
    follows &= letters[edges[:, 0]] == letters[edges[:, 1]]
    places = np.flatnonzero(follows)
    agrees = np.ones(len(places), dtype=bool) if chi2 is None else chi2[places] <= AGREES
    order = places[np.lexsort((places, ~agrees, low[places]))]
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(low[order]) > 0
    found = np.where(priors > 0, priors, LOOP).astype(np.uint8)
    found[order[first]] = ODOMETRY
    return found
