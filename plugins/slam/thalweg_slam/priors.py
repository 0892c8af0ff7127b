"""What priors hold of a graph, and what they leave free: a position alone holds no heading.

Where all poses of a part move by one motion of the world, T <- Exp(x) T, edges between poses do not change, and a prior
changes by J x with J = J_r^-1(e) Ad(T^-1). Directions x in which
the sum of J^T Omega J has an eigenvalue of zero are free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .geometry import adjoint, cross, inverse, log, matrix, right_jacobian_inverse
from .geometry import compose as composed
from .graph import POSITION, PRIOR, Graph
from .poses import Array

RANK = 1e-9
"""An eigenvalue below this part of the largest is zero."""


@dataclass(frozen=True)
class Free:
    """A part of a graph that its priors do not hold in some directions."""

    first: int
    """Its first pose."""
    directions: Array
    """(size, r), orthonormal, in the tangent space of that pose: what to hold there so that nothing is free.

    Turns of the pose alone, and shifts alone: a turn about a far point, held at the pose, would hold its shift as well.
    """
    names: str

    @property
    def count(self) -> int:
        return int(self.directions.shape[1])


def parts(graph: Graph) -> tuple[Array, int]:
    """The number of the part that each pose belongs to, and how many there are."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    i, j = graph.edges.T
    joined = coo_array((np.ones(len(i)), (i, j)), shape=(len(graph), len(graph)))
    count, part = connected_components(joined, directed=False)
    numbers: Array = np.asarray(part)
    return numbers, int(count)


def free(graph: Graph) -> list[Free]:
    """Parts that have priors and no fixed pose, and that the priors do not hold in all directions."""
    rows = np.flatnonzero(graph.priors)
    if len(rows):
        numbers = (graph.edge_translation, graph.edge_rotation, graph.information)
        rows = rows[np.isfinite(np.column_stack([each[rows].reshape(len(rows), -1) for each in numbers])).all(axis=1)]
    if not len(rows):
        return []
    part, _ = parts(graph)
    held = np.zeros(part.max() + 1, dtype=bool)
    held[part[graph.fixed]] = True
    found = []
    for number in np.unique(part[graph.edges[rows, 0]]):
        if held[number]:
            continue
        own = rows[part[graph.edges[rows, 0]] == number]
        left = _left(graph, own, first=int(np.flatnonzero(part == number)[0]))
        if left is not None:
            found.append(left)
    return found


def with_gauge(graph: Graph) -> tuple[Graph, list[str]]:
    """The graph with a prior on the first pose of each part in `free`, of these directions alone; and what was added.

    It holds the pose where it begins, and weighs nothing where the others are met: in a free direction all solutions
    are alike.
    """
    added = free(graph)
    said: list[str] = []
    if not added:
        return graph, said
    weight = np.repeat([_usual(graph, slice(0, graph.dims)), _usual(graph, slice(graph.dims, None))], [graph.dims, 3])
    root = np.sqrt(weight[: graph.information.shape[1]])[:, None]
    ends = np.array([each.first for each in added])
    basis = [each.directions for each in added]
    graph = replace(
        graph,
        edges=np.concatenate([graph.edges, np.stack([ends, ends], axis=1)]),
        edge_translation=np.concatenate([graph.edge_translation, graph.translation[ends]]),
        edge_rotation=np.concatenate([graph.edge_rotation, graph.rotation[ends]]),
        information=np.concatenate([graph.information, [(root * each) @ (root * each).T for each in basis]]),
        kind=np.concatenate([graph.kind, np.full(len(ends), PRIOR, np.uint8)]),
        attrs={**graph.attrs, "gauge": "; ".join(f"pose {graph.ids[each.first]}: {each.names}" for each in added)},
    )
    said += [f"held at pose {graph.ids[each.first]}, for no prior does: {each.names}" for each in added]
    return graph, said


def _usual(graph: Graph, block: slice) -> float:
    """The median weight of a direction of shift, or of turn."""
    sizes = np.einsum("nii->ni", graph.information)[:, block]
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.median(sizes)) if len(sizes) else 1.0


def _left(graph: Graph, rows: Array, *, first: int) -> Free | None:
    pose = graph.edges[rows, 0]
    at, turned = graph.translation[pose], graph.rotation[pose]
    shift, turn = graph.edge_translation[rows], graph.edge_rotation[rows]
    sound = np.isfinite(at).all(axis=1) & np.isfinite(turned.reshape(len(pose), -1)).all(axis=1)
    at = np.where(sound[:, None], at, shift)
    turned = np.where(sound if turned.ndim == 1 else sound[:, None], turned, turn)
    # Where poses are not known yet the measured ones may tell that all is held.
    _, _, measured = _directions(graph, rows, at=(turn, shift))
    if measured.shape[1] == 0:
        return None
    centre, scale, left = _directions(graph, rows, at=(turned, at))
    if left.shape[1] == 0:
        return None
    begin = graph.rotation[first], graph.translation[first] - centre
    local = adjoint(inverse((begin[0][None], begin[1][None])))[0] @ (scale[:, None] * left)
    turns, sizes, right = np.linalg.svd(local[graph.dims :] / np.linalg.norm(local, axis=0))
    rank = int((sizes > 1e-6).sum())
    shifts, _ = np.linalg.qr(local[: graph.dims] @ right[rank:].T)
    basis = np.zeros_like(local)
    basis[graph.dims :, :rank], basis[: graph.dims, rank:] = turns[:, :rank], shifts
    return Free(first, basis, _named(left, graph.dims))


def _directions(graph: Graph, rows: Array, *, at: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """A centre, the unit of each direction about it, and an orthonormal basis (size, r) of the free ones in them."""
    turned, place = at
    d, size = graph.dims, 3 * (graph.dims - 1)
    centre = place.mean(axis=0)
    motion = turned, place - centre
    target = graph.edge_rotation[rows], graph.edge_translation[rows] - centre
    plain = (graph.kind[rows] == POSITION) | (graph.convention == "vector")
    jacobian = right_jacobian_inverse(log(composed(inverse(target), motion))) @ adjoint(inverse(motion))
    if plain.any():
        jacobian[plain] = _plain(motion, target, dims=d)[plain]
    spread = float(np.sqrt((motion[1] ** 2).sum(axis=1).mean()))
    scale = np.ones(size)
    scale[d:] = 1.0 / spread if spread > 0 else 1.0
    jacobian = jacobian * scale
    whole = np.einsum("nki,nkl,nlj->ij", jacobian, graph.information[rows], jacobian)
    values, vectors = np.linalg.eigh((whole + whole.T) / 2)
    return centre, scale, vectors[:, values <= RANK * max(values[-1], 0.0)]


def _plain(motion: tuple[Array, Array], target: tuple[Array, Array], *, dims: int) -> Array:
    """Of the plain difference of positions, seen in the frame of the target, and of the turn."""
    back = matrix(target[0], dims).transpose(0, 2, 1)
    at, size = motion[1], 3 * (dims - 1)
    found = np.zeros((len(at), size, size))
    found[:, :dims, :dims] = back
    if dims == 2:
        found[:, :2, 2] = (back @ np.stack([-at[:, 1], at[:, 0]], axis=1)[:, :, None])[:, :, 0]
        found[:, 2, 2] = 1
    else:
        found[:, :3, 3:] = -back @ cross(at)
        found[:, 3:, 3:] = matrix(motion[0], 3).transpose(0, 2, 1)
    return found


def _named(left: Array, dims: int) -> str:
    """Axes of the world along and about which the free directions lead."""
    names = [f"{axis}" for axis in "xyz"[:dims]]
    turns = ["heading"] if dims == 2 else [f"turn about {axis}" for axis in "xyz"]
    # Shifts without a turn; turns about some point.
    axes, values, right = np.linalg.svd(left[dims:])
    still = left @ right[np.concatenate([values, np.zeros(len(right) - len(values))]) < 1e-6].T
    swing = axes[:, : int((values > 1e-6).sum())]
    found = [name for k, name in enumerate(names) if np.linalg.norm(still[k]) > 0.99]
    found += [name for k, name in enumerate(turns) if np.linalg.norm(swing[k]) > 0.99]
    missing = left.shape[1] - len(found)
    if missing > 0:
        found.append(f"{missing} direction{'s' if missing > 1 else ''} askew")
    return ", ".join(found)
