"""From lists of poses and measurements under any names to a `Graph`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

import numpy as np
from thalweg import SourceError

from ..geometry import inverse
from ..graph import LOOP, ODOMETRY, Convention, Graph, kinds
from ..poses import identity, normalise
from ..priors import with_gauge
from ..residuals import errors, of_motion
from ..spanning import composed
from ._tables import place

log = logging.getLogger("thalweg")

Array = np.ndarray[Any, np.dtype[Any]]

Unknown = Literal["refuse", "skip"]
"""Lines of other words are refused, or left out and counted in `attrs["skipped"]`."""

ROUNDING, EXACT = 1e-3, 1e-14
"""Quaternions that are off by as little as digits in a text make them are normalised; others are left to `validate`."""


@dataclass(frozen=True)
class Part:
    """Poses, or measurements, of one kind of lines."""

    ids: Array
    """(n,), of edges (n, 2)."""
    translation: Array
    rotation: Array
    lines: Array
    """(n,): their lines in the file."""
    information: Array = field(default_factory=lambda: np.empty(0))
    kind: Array = field(default_factory=lambda: np.empty(0, np.uint8))
    """(n,): PRIOR or POSITION; 0 for edges between two poses."""

    def taken(self, which: Array) -> Self:
        """Some of them, or all in another order; what is empty stays so."""
        made = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(self, **{name: value[which] if len(value) else value for name, value in made.items()})


@dataclass
class Parts:
    """What a file holds, under its own names."""

    dims: int
    keep: bool = False
    """Whether quaternions that are zero are kept."""
    nodes: list[Part] = field(default_factory=list)
    edges: list[Part] = field(default_factory=list)
    fixed: list[tuple[int, int]] = field(default_factory=list)
    """Ids, and the lines that say so."""
    notes: list[str] = field(default_factory=list)
    """What was left out or changed."""


def upper(values: Array, *, order: tuple[int, ...] | None = None) -> Array:
    """Symmetric matrices from their upper triangles, row by row; `order` permutes rows and columns."""
    size = round((np.sqrt(8 * values.shape[1] + 1) - 1) / 2)
    rows, columns = np.triu_indices(size)
    matrix = np.empty((len(values), size, size))
    matrix[:, rows, columns] = values
    matrix[:, columns, rows] = values
    return matrix if order is None else matrix[:, order][:, :, order]


def triangle(matrices: Array) -> Array:
    """The upper triangles of matrices, row by row."""
    rows, columns = np.triu_indices(matrices.shape[-1])
    return matrices[..., rows, columns]


def rounded(rotation: Array) -> Array:
    """Quaternions without what rounding did to their norm."""
    if rotation.ndim == 1:
        return rotation
    norm = np.linalg.norm(rotation, axis=1)
    near = (np.abs(norm - 1.0) < ROUNDING) & (np.abs(norm - 1.0) > EXACT)
    return np.where(near[:, None], rotation / np.where(near, norm, 1.0)[:, None], rotation)


def unit(rotation: Array, *, lines: Array, path: str, keep: bool = False, notes: list[str] | None = None) -> Array:
    """Quaternions of norm 1; angles as they are. Those that are zero stay so if told to `keep` them.

    Raises `SourceError` that names the line of one that is zero, and notes those that were off by more than rounding.
    """
    if rotation.ndim == 1:
        return rotation
    norm = np.linalg.norm(rotation, axis=1)
    zero = ~(norm > 0) & ~np.isnan(norm)
    if zero.any() and not keep:
        raise SourceError(
            f"{place(path, int(lines[zero][0]))}: a quaternion that is zero",
            allowed="quaternions of norm 1",
            advice="mend the line, or take it out",
        )
    off = (np.abs(norm - 1.0) > EXACT) & (norm > 0) & np.isfinite(norm)
    far = off & (np.abs(norm - 1.0) >= ROUNDING)
    if far.any() and notes is not None:
        first = int(np.flatnonzero(far)[0])
        notes.append(f"normalised: {int(far.sum())} quaternions (norm {norm[first]:.4g} in line {int(lines[first])})")
    return np.where(off[:, None], rotation / np.where(off, norm, 1.0)[:, None], rotation)


def assemble(
    parts: Parts, *, path: str, convention: Convention, attrs: dict[str, Any], odometry: int | None = None
) -> Graph:
    """The graph: edges in the order of the file, poses in order of their ids, a gauge, odometry told from loops.

    Poses that the file does not give are composed of odometry. Raises `SourceError`.
    """
    if not parts.edges:
        raise SourceError(f"{path!r} has no edges", allowed="a pose graph", advice="look at the file and its format")
    edges = _joined(parts.edges)
    turned = unit(edges.rotation, lines=edges.lines, path=path, keep=parts.keep, notes=parts.notes)
    edges = replace(edges, rotation=turned)
    nodes = _joined(parts.nodes) if parts.nodes else None
    ids = _ids(nodes, edges, path=path)
    ends = _numbers(ids, edges.ids, lines=edges.lines, path=path, by="an edge to")
    alone = (ends[:, 0] == ends[:, 1]) & (edges.kind == 0)
    if alone.any():
        parts.notes.append(_self(edges, alone, convention))
        edges, ends = edges.taken(~alone), ends[~alone]
        if not len(ends):
            raise SourceError(f"{path!r} has no edges between two poses", allowed="a pose graph")
    fixed = np.zeros(len(ids), dtype=bool)
    if parts.fixed:
        names, lines = np.array(parts.fixed, dtype=np.int64).T
        fixed[_numbers(ids, names, lines=lines, path=path, by="FIX of")] = True
    if not fixed.any() and not (edges.kind > 0).any():
        fixed[0] = True
        attrs = {**attrs, "gauge": "the first pose: the file fixes none"}
    if nodes is not None:
        order = np.argsort(nodes.ids)
        turned = unit(nodes.rotation, lines=nodes.lines, path=path, keep=parts.keep, notes=parts.notes)
        start = nodes.translation[order], turned[order]
    else:
        start = identity(len(ids), dims=parts.dims)
    graph = Graph(
        translation=start[0],
        rotation=start[1],
        edges=ends,
        edge_translation=edges.translation,
        edge_rotation=edges.rotation,
        information=edges.information,
        kind=edges.kind,
        ids=ids,
        fixed=fixed,
        convention=convention,
        given=nodes is not None,
        attrs=attrs,
    )
    graph = replace(graph, kind=_kinds(graph, odometry, path=path))
    if nodes is None:
        measured = graph.edge_translation, _finite(graph.edge_rotation)
        (at, turned), _ = composed(graph.edges, measured, graph.kind, start=start, roots=fixed)
        graph = replace(graph, translation=at, rotation=turned)
    graph, held = with_gauge(graph)
    parts.notes += held
    for note in parts.notes:
        log.warning("%s: %s", graph.attrs.get("source", path), note)
    return replace(graph, attrs={**graph.attrs, "notes": list(parts.notes)}) if parts.notes else graph


def _joined(given: list[Part]) -> Part:
    """All of them, in the order of the file."""
    order = np.argsort(np.concatenate([each.lines for each in given]), kind="stable")
    names = [each.name for each in fields(Part)]
    return Part(**{name: np.concatenate([getattr(each, name) for each in given]) for name in names}).taken(order)


def _ids(nodes: Part | None, edges: Part, *, path: str) -> Array:
    if nodes is None:
        return np.unique(edges.ids)
    ids, counts = np.unique(nodes.ids, return_counts=True)
    if (counts > 1).any():
        again = ids[counts > 1][0]
        lines = ", ".join(map(str, nodes.lines[nodes.ids == again][:4].tolist()))
        raise SourceError(
            f"{path!r} has pose {again} {counts[counts > 1][0]} times, in lines {lines}",
            allowed="every pose once",
            advice="take all but one of the lines out, or rename them",
        )
    return ids


def _self(edges: Part, alone: Array, convention: Convention) -> str:
    """What is said of edges from a pose to itself."""
    turn, shift = inverse((edges.rotation[alone], edges.translation[alone]))
    error = of_motion(shift, turn, plain=np.full(len(shift), convention == "vector"))
    constant = np.einsum("ni,nij,nj->", error, edges.information[alone], error)
    lines = edges.lines[alone].tolist()
    shown = ", ".join(map(str, lines[:4])) + (", ..." if len(lines) > 4 else "")
    return (
        f"left out: {len(lines)} edges from a pose to itself (lines {shown}), which move nothing; "
        f"in chi2 they are a constant of {constant:.6g}"
    )


def _kinds(graph: Graph, odometry: int | None, *, path: str) -> Array:
    if odometry is not None:
        between = np.flatnonzero(graph.kind == 0)
        if odometry > len(between):
            raise SourceError(
                f"odometry = {odometry!r} of {path!r}", allowed=f"at most its {len(between)} edges between two poses"
            )
        made = np.where(graph.kind == 0, LOOP, graph.kind).astype(np.uint8)
        made[between[:odometry]] = ODOMETRY
        return made
    weighed = None
    if graph.given:
        with np.errstate(invalid="ignore", over="ignore"):
            every = np.arange(len(graph.edges))
            error = errors(graph, (graph.translation, graph.rotation), edges=every)
            weighed = np.einsum("ni,nij,nj->n", error, graph.information, error)
    return kinds(graph.edges, ids=graph.ids, priors=graph.kind, chi2=weighed)


def _finite(rotation: Array) -> Array:
    """Rotations of which poses can be composed, wrong as they may be."""
    if rotation.ndim == 1:
        return normalise(rotation, dims=2)
    norm = np.linalg.norm(rotation, axis=1, keepdims=True)
    return np.where(norm > 0, rotation / np.where(norm > 0, norm, 1.0), [0.0, 0.0, 0.0, 1.0])


def _numbers(ids: Array, names: Array, *, lines: Array, path: str, by: str) -> Array:
    """Positions of names among the sorted ids."""
    found = np.searchsorted(ids, names).clip(max=len(ids) - 1)
    missing = ids[found] != names
    if missing.any():
        at = tuple(np.argwhere(missing)[0])
        raise SourceError(
            f"{place(path, int(lines[at[0]]))}: {by} pose {names[at]}, which the file does not give",
            allowed=f"{len(ids)} poses, {ids[0]} to {ids[-1]}",
            advice="add the pose, or take the line out",
        )
    return found
