"""What a solve of a pose graph gives: poses, history, processor time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph import Graph, without
from .precision import Precision

Array = np.ndarray[Any, np.dtype[Any]]
NOTHING = 0.01
"""An edge that weighs less by a robust loss counts as rejected; one that the loss leaves alone weighs 1."""


@dataclass(frozen=True)
class Iteration:
    cost: float
    """chi2 after the iteration."""
    products: int
    """Conjugate-gradient products; 0 for a direct step."""
    damping: float
    rejected: bool
    factored: bool
    direct: bool


@dataclass
class Timing:
    """Processor seconds of this thread."""

    prepare: float = 0.0
    """Checks, roots of the information, order of elimination, structure of the factor."""
    initial: float = 0.0
    linearise: float = 0.0
    factor: float = 0.0
    conjugate: float = 0.0
    """Conjugate gradients, or the solve of a direct step."""
    update: float = 0.0
    """Moving the poses, and the cost there."""

    @property
    def total(self) -> float:
        return self.prepare + self.linearise + self.factor + self.conjugate + self.update


@dataclass(frozen=True)
class Result:
    graph: Graph
    """The graph with its poses where the optimum is."""
    chi2: float
    """Sum over edges of e^T Omega e, or of its loss."""
    chi2_initial: float
    history: tuple[Iteration, ...]
    timing: Timing
    precision: Precision
    converged: bool
    factor_bytes: int
    """Of the factor in the precision of the factorisation."""
    freedom: int = 0
    """Numbers measured less numbers sought: what chi2 is near where noise and information agree."""
    weights: Array | None = None
    """(M,): what each edge weighs by the robust loss, from 0 to 1; None without one."""

    @property
    def poses(self) -> tuple[Array, Array]:
        """Rotations and translations."""
        return self.graph.rotation, self.graph.translation

    @property
    def rejected(self) -> Array:
        """(M,) bool: edges that weigh nothing by the robust loss (less than `NOTHING`)."""
        if self.weights is None:
            return np.zeros(len(self.graph.edges), np.bool_)
        return np.asarray(self.weights < NOTHING)

    @property
    def kept(self) -> Graph:
        """The graph with its poses where the optimum is, without the edges that are `rejected`."""
        return without(self.graph, self.rejected)

    @property
    def products(self) -> int:
        return sum(each.products for each in self.history)


class Clock:
    """Charges processor time to the parts of a solve."""

    def __init__(self) -> None:
        self.timing = Timing()
        self.last = time.thread_time()

    def charge(self, name: str) -> None:
        now = time.thread_time()
        setattr(self.timing, name, getattr(self.timing, name) + now - self.last)
        self.last = now
