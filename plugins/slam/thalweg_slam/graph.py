"""A pose graph as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Convention = Literal["log", "vector"]
"""In 3-D the information weighs the rotation vector, or the vector part of the quaternion (g2o: half the angle)."""

ODOMETRY, LOOP, PRIOR = 0, 1, 2


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
    """(M,) uint8: 0 odometry, 1 loop, 2 prior."""
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

    def __len__(self) -> int:
        return len(self.translation)
