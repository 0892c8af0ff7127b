"""The least squares of a pose graph, by Gauss-Newton or Levenberg-Marquardt in a choice of precisions."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from thalweg import OptionError

from ..graph import LOOP, Graph
from ..residuals import whitened
from . import diagnose
from .initial import begin
from .outliers import unpulled
from .precision import Precision
from .precision import precision as chosen
from .problem import Problem, prepare
from .result import Clock, Result
from .robust import Robust
from .solver import Solver
from .symbolic import analyse

Array = np.ndarray[Any, np.dtype[Any]]
Method = Literal["gauss-newton", "levenberg-marquardt"]
Gauge = Literal["first", "each"]
"""Which poses stay where they are: those that the graph fixes, or else the first; or the first of each loose part."""

RANK = 1e-9
"""Of information with unit diagonal: the least eigenvalue of a direction that is measured."""


def optimise(
    graph: Graph,
    precision: str | Precision = "mixed-adaptive",
    *,
    method: Method = "gauss-newton",
    initial: str = "auto",
    robust: Robust | None = None,
    gauge: Gauge = "first",
    tolerance: float = 1e-8,
    iterations: int = 1000,
    forcing: float = 0.05,
) -> Result:
    """Poses that minimise the sum over edges of e^T Omega e, with e = Log(Z^-1 T_i^-1 T_j).

    Begins at the chordal solution; with a robust loss where outliers have not pulled (`outliers.unpulled`); or where
    `initial` says. Stops when an iteration lowers the sum by less than `tolerance` of it; `converged` says whether it
    did. Raises SourceError where the graph is wrong (edges and poses by name), RunError where the measurements do not
    determine it.
    """
    wanted = chosen(precision)
    if method not in ("gauss-newton", "levenberg-marquardt"):
        raise OptionError(f"method {method!r}", allowed="gauss-newton, levenberg-marquardt", advice="take one of these")
    clock = Clock()
    diagnose.check_shapes(graph)
    own = graph
    if initial == "auto" and robust is not None and robust.loss != "none":
        graph = unpulled(graph, robust, precision=wanted, method=method, gauge=gauge, forcing=forcing)
        initial = "given"
        clock.charge("initial")
    elif initial == "auto":
        initial = "chordal"
    diagnose.check_finite(graph, poses=initial == "given")
    diagnose.check_units(graph)
    symbolic = analyse(len(graph), graph.edges)
    fixed = diagnose.gauge(graph, gauge, symbolic=symbolic)
    problem, found = prepare(graph, symbolic=symbolic, fixed=fixed, robust=robust)
    if found.any():
        diagnose.check_information(graph, found)
    clock.charge("prepare")
    state = problem.state(*begin(graph, problem, initial=initial))
    clock.charge("initial")
    solver = Solver(graph, problem, wanted, clock, method == "levenberg-marquardt", tolerance, forcing)
    state, cost, first, converged = solver.run(state, iterations)
    rotation, translation = problem.poses(state)
    held = fixed if problem.size == 3 else fixed[:, None]
    rotation = np.where(held, graph.rotation, rotation)
    result = Result(
        graph=dataclasses.replace(own, rotation=rotation, translation=translation, given=True),
        chi2=cost,
        chi2_initial=first,
        history=tuple(solver.history),
        timing=clock.timing,
        precision=wanted,
        converged=converged,
        factor_bytes=solver.factor_bytes,
        freedom=_freedom(graph, problem),
        weights=None if robust is None or robust.loss == "none" else _weights(own, (translation, rotation), robust),
    )
    if cost > result.freedom:
        diagnose.check_order(graph)
    return result


def _weights(graph: Graph, poses: tuple[Array, Array], robust: Robust) -> Array:
    square = (whitened(graph, poses, edges=np.arange(len(graph.edges))) ** 2).sum(axis=1)
    found = robust.weight(square)
    return np.where(graph.kind == LOOP, found, 1.0) if robust.loops_only else found


def _freedom(graph: Graph, problem: Problem) -> int:
    """Directions that are measured, less those sought: of information that is singular its rank counts.

    An edge between two poses that are fixed has nothing to be fitted by, and counts as measured.
    """
    size, free = problem.size, int((~problem.fixed).sum())
    partial = problem.edge_order[(np.einsum("eii->ei", problem.weight) == 0).any(axis=1)]
    information = graph.information[partial]
    diagonal = np.einsum("eii->ei", information)
    # Metres and radians may differ by any factor.
    weight = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values = np.linalg.eigvalsh(information / (weight[:, :, None] * weight[:, None, :]))
    return size * (len(graph.edges) - len(partial) - free) + int((values > RANK).sum())
