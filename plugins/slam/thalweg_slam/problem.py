"""A pose graph, and what is known of the truth."""

from __future__ import annotations

from dataclasses import dataclass

from .graph import Graph
from .poses import Array
from .trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class Problem:
    """One sample of the pipeline."""

    graph: Graph
    truth: Trajectory | None = None
    trajectory: Array | None = None
    """(N,): the number of the trajectory that each pose belongs to; all to one if None."""
