"""Where to begin when measurements may be wrong: at poses that outliers have not pulled."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from thalweg import RunError, SourceError

from ..graph import LOOP, Graph
from ..residuals import whitened
from .robust import Robust

ROUGH: dict[str, Any] = {"tolerance": 1e-4, "iterations": 20}
MOST = 12
"""Losses between the widest and the one that is wanted."""


def unpulled(graph: Graph, robust: Robust, **options: Any) -> Graph:
    """The graph at the best of several starts, by the robust cost that they lead to.

    The chordal solution, in which outliers weigh fully, followed while the loss narrows from one that nothing exceeds
    (graduated non-convexity, Yang et al. 2020, doi:10.1109/LRA.2020.2965893); composed odometry, which has none; and
    the given poses. `options` are those of `optimise`. Raises `RunError` or `SourceError` if none can be had.
    """
    from .optimise import optimise

    found: list[tuple[float, Graph]] = []
    failed: RunError | SourceError | None = None
    for initial in ("chordal", "odometry", *(["given"] if graph.given else [])):
        try:
            begun = optimise(graph, initial=initial, **{**options, "iterations": 0}).graph
            if initial == "chordal":
                begun = _narrowed(begun, robust, options)
            ended = optimise(begun, robust=robust, initial="given", **{**options, **ROUGH})
            found.append((ended.chi2, ended.graph))
        except (RunError, SourceError) as error:
            failed = error
    if not found:
        assert failed is not None
        raise failed
    return min(found, key=lambda each: each[0])[1]


def _narrowed(graph: Graph, robust: Robust, options: dict[str, Any]) -> Graph:
    """The poses, followed from the loss that nothing exceeds to twice the one that is wanted."""
    from .optimise import optimise

    numbers = np.flatnonzero(graph.kind == LOOP) if robust.loops_only else np.arange(len(graph.edges))
    if not len(numbers):
        return graph
    at = graph.translation, graph.rotation
    largest = float(np.linalg.norm(whitened(graph, at, edges=numbers), axis=1).max())
    steps = int(np.clip(np.ceil(np.log2(max(largest / robust.scale, 1.0))), 0, MOST))
    for scale in np.geomspace(max(largest, robust.scale), 2 * robust.scale, steps) if steps else ():
        wider = dataclasses.replace(robust, scale=float(scale))
        graph = optimise(graph, robust=wider, initial="given", **{**options, **ROUGH}).graph
    return graph
