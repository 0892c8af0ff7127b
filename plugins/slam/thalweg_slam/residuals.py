"""What edges say of poses: $e = \\log(Z_{ij}^{-1} T_i^{-1} T_j)$, weighed."""

from __future__ import annotations

import numpy as np

from .geometry import log, wrap
from .graph import POSITION, Graph
from .poses import Array, between, identity


def errors(graph: Graph, poses: tuple[Array, Array], *, edges: Array) -> Array:
    """Errors (n, 3 or 6) of some edges at translations and rotations: shift first, then turn.

    In the convention `vector`, and of a position alone, the shift as it is, and the angle or, in 3-D, the vector part
    of the quaternion.
    """
    i, j = graph.edges[edges].T
    start, end = ((poses[0][each], poses[1][each]) for each in (i, j))
    prior = graph.priors[edges]
    if prior.any():
        origin = identity(len(edges), dims=graph.dims)
        start = tuple(  # type: ignore[assignment]
            np.where(prior.reshape(-1, *[1] * (one.ndim - 1)), zero, one)
            for one, zero in zip(start, origin, strict=True)
        )
    shift, turn = between((graph.edge_translation[edges], graph.edge_rotation[edges]), between(start, end))
    return of_motion(shift, turn, plain=(graph.kind[edges] == POSITION) | (graph.convention == "vector"))


def of_motion(shift: Array, turn: Array, *, plain: Array) -> Array:
    """The logarithm of motions (n,), or, where they are `plain`, shift and angle or vector part as they are."""
    found = np.asarray(log((turn, shift)))
    if plain.any():
        swing = wrap(turn)[:, None] if turn.ndim == 1 else np.where(turn[:, 3:] < 0, -turn, turn)[:, :3]
        found[plain] = np.concatenate([shift, swing], axis=1)[plain]
    return found


def whitened(graph: Graph, poses: tuple[Array, Array], *, edges: Array) -> Array:
    """Errors times the symmetric root of their information, which may be singular."""
    information = graph.information[edges]
    values, vectors = np.linalg.eigh((information + information.transpose(0, 2, 1)) / 2)
    along = (vectors.transpose(0, 2, 1) @ errors(graph, poses, edges=edges)[..., None])[..., 0]
    found: Array = (vectors @ (np.sqrt(values.clip(min=0)) * along)[..., None])[..., 0]
    return found


def chi2(graph: Graph, poses: tuple[Array, Array] | None = None) -> float:
    """The sum over edges of $e^T \\Omega e$; at the graph's own poses if none are given."""
    at = (graph.translation, graph.rotation) if poses is None else poses
    every = np.arange(len(graph.edges))
    found = errors(graph, at, edges=every)
    return float(np.einsum("ni,nij,nj->", found, graph.information, found))
