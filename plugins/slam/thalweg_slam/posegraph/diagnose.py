"""What is wrong with a graph, by the names its file gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from thalweg import OptionError, RunError, SourceError

from ..graph import ODOMETRY, Graph
from ..priors import free
from ..validation import finite_edges, scalar_first
from .symbolic import Symbolic

Array = np.ndarray[Any, np.dtype[Any]]


def check_shapes(graph: Graph) -> None:
    count, edges, d = len(graph), len(graph.edges), graph.dims
    size = 3 * (d - 1)
    rotation = (4,) if d == 3 else ()
    wanted = {
        "rotation": (count, *rotation),
        "edges": (edges, 2),
        "edge_translation": (edges, d),
        "edge_rotation": (edges, *rotation),
        "information": (edges, size, size),
        "kind": (edges,),
        "ids": (count,),
        "fixed": (count,),
    }
    for name, shape in wanted.items():
        found = np.shape(getattr(graph, name))
        if found != shape:
            raise SourceError(f"{name} has shape {found}", allowed=str(shape), advice="see thalweg_slam.graph.Graph")
    if edges and not (graph.edges.min() >= 0 and graph.edges.max() < count):
        raise SourceError(
            f"edges name poses {graph.edges.min()} to {graph.edges.max()}",
            allowed=f"0 to {count - 1}",
            advice="give edges the numbers of poses, not their ids",
        )
    if not edges:
        raise SourceError("the graph has no edges", allowed="at least one", advice="add measurements")
    alone = (graph.edges[:, 0] == graph.edges[:, 1]) != graph.priors
    if alone.any():
        raise SourceError(
            f"an edge from a pose to itself that is no prior, or a prior of two poses, at {_edges(graph, alone)}",
            allowed="edges of two poses, and priors of one",
            advice="take them out: thalweg_slam.repair(graph); what measures one pose in the world is a prior",
        )


def check_finite(graph: Graph, *, poses: bool) -> None:
    for name in ("edge_translation", "edge_rotation"):
        bad = ~np.isfinite(getattr(graph, name)).reshape(len(graph.edges), -1).all(1)
        if bad.any():
            raise SourceError(
                f"{name} is not finite at {_edges(graph, bad)}", allowed="numbers", advice="leave these edges out"
            )
    for name in ("translation", "rotation"):
        bad = ~np.isfinite(getattr(graph, name)).reshape(len(graph), -1).all(1)
        if poses:
            bad &= True
        else:
            bad &= graph.fixed
        if bad.any():
            raise SourceError(
                f"{name} is not finite at {_poses(graph, bad)}",
                allowed="numbers",
                advice="begin elsewhere: initial='chordal', or 'odometry'",
            )


def check_units(graph: Graph) -> None:
    if graph.dims == 2:
        return
    square = np.einsum("ek,ek->e", graph.edge_rotation, graph.edge_rotation)
    bad = np.abs(square - 1) > 2e-3
    if bad.any():
        raise SourceError(
            f"the quaternion is not of norm 1 at {_edges(graph, bad)}",
            allowed="unit quaternions, x y z w",
            advice="normalise them: thalweg_slam.repair(graph)",
        )


def check_order(graph: Graph) -> None:
    """For a graph that was not solved well: raise if its quaternions look as if w stood first."""
    if graph.dims == 3 and scalar_first(graph, finite_edges(graph)):
        odometry = graph.kind == ODOMETRY
        raise SourceError(
            f"quaternions seem to have w first: half turns along odometry, {_edges(graph, odometry)}",
            allowed="x y z w, as g2o has them",
            advice="read the file with quaternion='wxyz'",
        )


def check_information(graph: Graph, found: Array) -> None:
    if (found == 2).any():
        raise SourceError(
            f"the information is not finite at {_edges(graph, found == 2)}",
            allowed="numbers",
            advice="leave these edges out",
        )
    if (found == 1).any():
        raise SourceError(
            f"the information is indefinite at {_edges(graph, found == 1)}",
            allowed="positive semidefinite matrices",
            advice="mend them: thalweg_slam.repair(graph, indefinite='project'), or 'isotropic'",
        )


def gauge(graph: Graph, choice: str, *, symbolic: Symbolic) -> Array:
    """Which poses stay where they are."""
    if choice not in ("first", "each"):
        raise OptionError(f"gauge {choice!r}", allowed="first, each", advice="take one of these")
    label = pieces(symbolic)
    parts = int(label.max()) + 1
    fixed = graph.fixed.copy()
    held = np.zeros(parts, bool)
    held[label[fixed]] = True
    # Priors hold their component as well, if they do so in all directions.
    held[label[graph.edges[graph.priors, 0]]] = True
    partly = free(graph)
    if partly:
        names = "; ".join(f"the part of pose {graph.ids[each.first]}: {each.names}" for each in partly[:6])
        raise RunError(
            f"priors do not hold the graph in all directions; free: {names}",
            allowed="priors, or a fixed pose, that hold each part",
            advice="hold it where it begins: thalweg_slam.repair(graph); or add a prior, or fix a pose",
        )
    if held.all():
        return fixed
    firsts = np.unique(label, return_index=True)[1]
    loose = np.flatnonzero(~held)
    if parts > 1 and choice == "first":
        sizes = np.bincount(label, minlength=parts)
        names = ", ".join(f"{sizes[k]} poses with {graph.ids[firsts[k]]}" for k in loose[:6])
        more = f", and {len(loose) - 6} more" if len(loose) > 6 else ""
        raise SourceError(
            f"the graph is in {parts} pieces; held by nothing: {names}{more}",
            allowed="one piece, or a fixed pose or prior in each",
            advice="add an edge between them; or hold the first pose of each: gauge='each'",
        )
    fixed[firsts[loose]] = True
    return fixed


def pieces(symbolic: Symbolic) -> Array:
    """The number of each pose's connected piece: its root in the elimination tree."""
    up = np.where(symbolic.parent < 0, np.arange(len(symbolic.parent)), symbolic.parent)
    while True:
        further = up[up]
        if np.array_equal(further, up):
            return np.asarray(np.unique(up[symbolic.rank], return_inverse=True)[1])
        up = further


def singular(graph: Graph, pose: int, *, direction: str = "") -> RunError:
    touching = np.flatnonzero((graph.edges == pose).any(1))
    return RunError(
        f"the measurements leave pose {graph.ids[pose]} free{direction}; it has {_edges(graph, touching)}",
        allowed="information that fixes every pose against the gauge",
        advice="add a prior or an edge there, leave the pose out, or damp: method='levenberg-marquardt'",
    )


def _edges(graph: Graph, which: Array) -> str:
    numbers = np.flatnonzero(which) if which.dtype == bool else which
    names = ", ".join(f"{n} ({graph.ids[a]} to {graph.ids[b]})" for n, (a, b) in _first(numbers, graph.edges))
    return f"{len(numbers)} of {len(graph.edges)} edges: {names}{', ...' if len(numbers) > 5 else ''}"


def _first(numbers: Array, edges: Array) -> list[tuple[int, Any]]:
    return [(int(n), edges[n]) for n in numbers[:5]]


def _poses(graph: Graph, which: Array) -> str:
    numbers = np.flatnonzero(which)
    names = ", ".join(str(graph.ids[n]) for n in numbers[:5])
    return f"{len(numbers)} of {len(graph)} poses: {names}{', ...' if len(numbers) > 5 else ''}"
