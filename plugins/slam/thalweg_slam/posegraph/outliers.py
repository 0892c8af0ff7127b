"""Where to begin when measurements may be wrong: at poses that outliers have not pulled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from thalweg import RunError, SourceError

from ..graph import LOOP, Graph, without
from ..residuals import whitened
from .agreement import agreeing
from .robust import Robust

Array = np.ndarray[Any, np.dtype[Any]]

ROUGH: dict[str, Any] = {"tolerance": 1e-6, "iterations": 40}
ON_THE_WAY: dict[str, Any] = {"tolerance": 1e-2, "iterations": 3}
"""Of a loss that is wider than the one that is wanted."""
AGAIN = (6.0, 3.0, 2.0, 1.5)
"""The best poses are solved once more with losses this much wider, and from there with the one that is wanted."""
NARROWER = 1.5
"""How much narrower a loss is than the one before."""
MOST = 24
"""Losses between the widest and the one that is wanted."""


def unpulled(graph: Graph, robust: Robust, **options: Any) -> Graph:
    """The graph at the best of several starts, by the robust cost that they lead to.

    The chordal solution, in which outliers weigh fully, followed while the loss is made narrower, from one so wide that
    it is the square (graduated non-convexity, Yang et al. 2020, doi:10.1109/LRA.2020.2965893); composed odometry, which
    has no loops; the given poses; and the solutions of loops that agree with one another (`agreement`), with the other
    loops left out. `options` are those of `optimise`. Raises `RunError` or `SourceError` if none can be had.
    """
    starts = _Starts(graph, robust, options)
    starts.attempt(lambda: starts.narrowed(starts.begun(graph, "chordal")))
    if graph.given:
        starts.attempt(lambda: starts.begun(graph, "given"))
    odometry = starts.attempt(lambda: starts.begun(graph, "odometry"))
    if odometry is not None:
        for chosen in agreeing(graph, odometry):
            part = without(graph, ~chosen & (graph.kind == LOOP))
            starts.attempt(lambda part=part: starts.squares(part))  # type: ignore[misc]
            starts.attempt(lambda part=part: starts.robustly(part))  # type: ignore[misc]
    for wider in AGAIN:
        starts.attempt(lambda wider=wider: starts.widened(starts.best(), wider))  # type: ignore[misc]
    return starts.best()


class _Starts:
    """Starts, each followed to where the robust cost ends."""

    def __init__(self, graph: Graph, robust: Robust, options: dict[str, Any]) -> None:
        self.graph, self.robust, self.options = graph, robust, options
        self.found: list[tuple[float, Graph]] = []
        self.failed: RunError | SourceError | None = None

    def attempt(self, start: Callable[[], Graph]) -> Graph | None:
        """Follow a start; None if it cannot be had."""
        try:
            begun = start()
            self.found.append(self._followed(begun, self.robust))
        except (RunError, SourceError) as error:
            self.failed = error
            return None
        return begun

    def best(self) -> Graph:
        if not self.found:
            assert self.failed is not None
            raise self.failed
        return min(self.found, key=lambda each: each[0])[1]

    def begun(self, graph: Graph, initial: str) -> Graph:
        from .optimise import optimise

        return optimise(graph, initial=initial, **{**self.options, "iterations": 0}).graph

    def squares(self, part: Graph) -> Graph:
        """The least squares of a graph that lacks some edges."""
        return self._placed(self._followed(self.begun(part, "chordal"), Robust("none"))[1])

    def robustly(self, part: Graph) -> Graph:
        """The robust solution of a graph that lacks some edges."""
        return self._placed(self._followed(self.narrowed(self.begun(part, "chordal")), self.robust)[1])

    def _placed(self, part: Graph) -> Graph:
        return dataclasses.replace(self.graph, rotation=part.rotation, translation=part.translation, given=True)

    def narrowed(self, graph: Graph) -> Graph:
        """The poses, solved with a loss so wide that it is the square, then with narrower ones, each from the last."""
        robust = self.robust
        numbers = np.flatnonzero(graph.kind == LOOP) if robust.loops_only else np.arange(len(graph.edges))
        if not len(numbers):
            return graph
        at = graph.translation, graph.rotation
        largest = float(np.linalg.norm(whitened(graph, at, edges=numbers), axis=1).max())
        steps = int(np.clip(np.ceil(np.log(max(largest / robust.scale, 1.0)) / np.log(NARROWER)), 0, MOST))
        for scale in np.geomspace(robust.scale, max(largest, robust.scale), steps + 1)[:0:-1]:
            graph = self._followed(graph, dataclasses.replace(robust, scale=float(scale)), ON_THE_WAY)[1]
        return graph

    def widened(self, graph: Graph, factor: float) -> Graph:
        """Poses solved with a wider loss."""
        return self._followed(graph, dataclasses.replace(self.robust, scale=factor * self.robust.scale))[1]

    def _followed(self, graph: Graph, robust: Robust, until: dict[str, Any] = ROUGH) -> tuple[float, Graph]:
        from .optimise import optimise

        ended = optimise(graph, robust=robust, initial="given", **{**self.options, **until})
        return ended.chi2, ended.graph
