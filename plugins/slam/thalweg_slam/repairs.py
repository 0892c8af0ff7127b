"""What is wrong with a pose graph, mended where it can be.

graph, report = repair(graph)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from thalweg import SourceError

from .graph import Graph
from .poses import Array, normalise
from .priors import parts, with_gauge
from .spanning import composed
from .validation import (
    Defect,
    Report,
    copies,
    finding,
    finite_edges,
    indefinite_edges,
    loose_parts,
    self_edges,
    source_of,
    summary,
    validate,
)

Indefinite = Literal["project", "isotropic", "refuse"]
"""Clip negative eigenvalues to zero; weigh all directions of shift alike, and all of turn; or raise."""
Duplicates = Literal["keep", "drop"]


def repair(
    graph: Graph, *, indefinite: Indefinite = "project", duplicates: Duplicates = "keep"
) -> tuple[Graph, Report]:
    """A graph that can be optimised, and what was done to make it so. Raises `SourceError` for what cannot be mended.

    Edges that are not finite, or from a pose to itself, are dropped, quaternions normalised, information made symmetric
    and positive semidefinite; each part without a gauge has its first pose fixed, or held where its priors do not hold
    it. Edges between the same two poses all weigh (`keep`), or of those that say exactly the same one does (`drop`).
    """
    found = validate(graph).findings
    names = {each.defect for each in found}
    if Defect.SCALAR_FIRST in names:
        raise SourceError(
            f"{source_of(graph)}: quaternions have w first, it seems",
            allowed="x y z w, as g2o has them",
            advice="read the file with quaternion='wxyz'",
        )
    done = {}
    keep = finite_edges(graph)
    if graph.dims == 3:
        keep &= np.linalg.norm(np.nan_to_num(graph.edge_rotation), axis=1) > 0
    keep &= ~self_edges(graph)
    done[Defect.NOT_FINITE_EDGE] = done[Defect.ZERO_QUATERNION] = done[Defect.SELF] = "dropped"
    if duplicates == "drop":
        keep &= ~copies(graph)
        done[Defect.COPY] = "dropped"
    graph = _with_edges(graph, keep)
    if not len(graph.edges):
        raise SourceError(f"{source_of(graph)}: no edge is left", allowed="finite measurements", advice=str(found[0]))
    if Defect.NOT_UNIT in names:
        turned = normalise(graph.edge_rotation, dims=graph.dims)
        graph = replace(graph, edge_rotation=turned, rotation=_unit(graph.rotation))
        done[Defect.NOT_UNIT] = "normalised"
    information = graph.information
    if Defect.ASYMMETRIC in names:
        information = (information + information.transpose(0, 2, 1)) / 2
        done[Defect.ASYMMETRIC] = "their symmetric part taken"
    bad = indefinite_edges(information)
    if bad.any():
        if indefinite == "refuse":
            raise SourceError(
                f"{source_of(graph)}: {finding(graph, Defect.INDEFINITE, bad)}",
                allowed="positive semidefinite information",
                advice="repair it with indefinite='project' or 'isotropic', or mend the file",
            )
        mend: Callable[[Array], Array] = _projected if indefinite == "project" else _isotropic
        information = information.copy()
        information[bad] = mend(information[bad])
        done[Defect.INDEFINITE] = "negative eigenvalues set to zero" if indefinite == "project" else "made isotropic"
    graph = replace(graph, information=information)
    part, count = parts(graph)
    fixed = graph.fixed.copy()
    for number in loose_parts(graph, part, count):
        fixed[np.flatnonzero(part == number)[0]] = True
    done[Defect.NO_GAUGE] = "their first poses fixed"
    graph = replace(graph, fixed=fixed)
    if Defect.NOT_FINITE_POSE in names:
        graph = _recomposed(graph)
        done[Defect.NOT_FINITE_POSE] = "all poses composed of odometry"
    graph, held = with_gauge(graph)
    done[Defect.PARTIAL_GAUGE] = "held at their first poses" if held else "held, once edges were dropped"
    report = Report(tuple(replace(each, done=done.get(each.defect, "")) for each in found), summary(graph))
    return graph, report


def _projected(information: Array) -> Array:
    values, vectors = np.linalg.eigh(information)
    clipped: Array = (vectors * values.clip(min=0)[:, None]) @ vectors.transpose(0, 2, 1)
    return clipped


def _isotropic(information: Array) -> Array:
    """Each block a multiple of the identity with the block's trace, or nothing if that is negative."""
    made = np.zeros_like(information)
    size = information.shape[1]
    dims = 2 if size == 3 else 3
    for low, high in ((0, dims), (dims, size)):
        at = np.arange(low, high)
        made[:, at, at] = (information[:, at, at].mean(axis=1).clip(min=0))[:, None]
    return made


def _with_edges(graph: Graph, keep: Array) -> Graph:
    if keep.all():
        return graph
    return replace(
        graph,
        edges=graph.edges[keep],
        edge_translation=graph.edge_translation[keep],
        edge_rotation=graph.edge_rotation[keep],
        information=graph.information[keep],
        kind=graph.kind[keep],
    )


def _unit(rotation: Array) -> Array:
    norm = np.linalg.norm(rotation, axis=1, keepdims=True)
    return np.where(norm > 0, rotation / np.where(norm > 0, norm, 1.0), [0.0, 0.0, 0.0, 1.0])


def _recomposed(graph: Graph) -> Graph:
    at, turned = np.nan_to_num(graph.translation), np.nan_to_num(graph.rotation)
    start = at, _unit(turned) if graph.dims == 3 else turned
    measured = graph.edge_translation, graph.edge_rotation
    (at, turned), _ = composed(graph.edges, measured, graph.kind, start=start, roots=graph.fixed)
    return replace(graph, translation=at, rotation=turned)
