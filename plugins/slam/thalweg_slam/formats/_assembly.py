"""From lists of poses and measurements under any names to a `Graph`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from thalweg.errors import SourceError

from ..graph import LOOP, ODOMETRY, PRIOR, Convention, Graph
from ..poses import identity, normalise
from ..spanning import composed

Array = np.ndarray[Any, np.dtype[Any]]

ROUNDING, EXACT = 1e-3, 1e-14
"""Quaternions that are off by as little as digits in a text make them are normalised; others are left to `validate`."""


@dataclass
class Parts:
    """What a file holds, under its own names."""

    dims: int
    nodes: list[tuple[Array, Array, Array]] = field(default_factory=list)
    """Ids, translations, rotations."""
    edges: list[tuple[Array, Array, Array, Array]] = field(default_factory=list)
    """Ids (n, 2), translations, rotations, information."""
    fixed: list[Array] = field(default_factory=list)


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


def assemble(parts: Parts, *, path: str, convention: Convention, attrs: dict[str, Any]) -> Graph:
    """The graph: poses in order of their ids, a gauge, odometry told from loops. Raises `SourceError`.

    Odometry joins poses that follow one another. Poses that the file does not give are composed of it.
    """
    if not parts.edges:
        raise SourceError(f"{path!r} has no edges", allowed="a pose graph", advice="look at the file and its format")
    names, translation, rotation, information = (np.concatenate([part[i] for part in parts.edges]) for i in range(4))
    given = np.concatenate([each[0] for each in parts.nodes]) if parts.nodes else np.empty(0, dtype=np.int64)
    ids, counts = np.unique(given if len(given) else names, return_counts=True)
    if len(given) and (counts > 1).any():
        raise SourceError(
            f"{path!r} has pose {ids[counts > 1][0]} {counts[counts > 1][0]} times",
            allowed="every pose once",
            advice="rename one of them",
        )
    edges = _numbers(ids, names, path=path)
    step = np.abs(edges[:, 1] - edges[:, 0])
    kind = np.where(step == 1, ODOMETRY, np.where(step == 0, PRIOR, LOOP)).astype(np.uint8)
    fixed = np.zeros(len(ids), dtype=bool)
    if parts.fixed:
        fixed[_numbers(ids, np.concatenate(parts.fixed), path=path)] = True
    if not fixed.any() and not (kind == PRIOR).any():
        fixed[0] = True
        attrs = {**attrs, "gauge": "the first pose: the file fixes none"}
    measured = translation, rounded(rotation)
    if len(given):
        order = np.argsort(given)
        at, turned = (np.concatenate([part[i] for part in parts.nodes])[order] for i in (1, 2))
        turned = rounded(turned)
    else:
        start = identity(len(ids), dims=parts.dims)
        (at, turned), _ = composed(edges, (measured[0], normalise(measured[1])), kind, start=start, roots=fixed)
    return Graph(
        translation=at,
        rotation=turned,
        edges=edges,
        edge_translation=measured[0],
        edge_rotation=measured[1],
        information=information,
        kind=kind,
        ids=ids,
        fixed=fixed,
        convention=convention,
        given=bool(len(given)),
        attrs=attrs,
    )


def _numbers(ids: Array, names: Array, *, path: str) -> Array:
    """Positions of names among the sorted ids."""
    found = np.searchsorted(ids, names).clip(max=len(ids) - 1)
    missing = ids[found] != names
    if missing.any():
        wanted = names[missing].ravel()[0]
        raise SourceError(
            f"{path!r} has an edge to pose {wanted}, which it does not give",
            allowed=f"{len(ids)} poses, {ids[0]} to {ids[-1]}",
            advice="add the pose, or take its edges out",
        )
    return found
