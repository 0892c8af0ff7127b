"""The damped step by elimination of the points (Schur complement) and a Cholesky factor of the cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse
from scipy.sparse import linalg as linalg_sparse

from .elimination import dense, eliminate, substitute
from .equations import Equations
from .problem import Array
from .state import Sightings
from .vectors import PADDED

DENSE = 200
"""Up to so many cameras, the reduced system is a dense matrix."""
FULL = 0.25, 6000
"""And where more than this part of its blocks is there, up to so many rows: a factor would fill the rest."""


@dataclass(frozen=True)
class Pattern:
    """Which blocks of the lower triangle of the reduced system are there, by rows; `columns` is empty if all are."""

    start: Array
    columns: Array

    @classmethod
    def of(cls, sightings: Sightings) -> Pattern:
        count = len(sightings.bundle)
        each = np.arange(count + 1)
        if count <= DENSE:
            return cls(each * (each + 1) // 2, np.zeros(0, np.int64))
        shape = (count, len(sightings.bundle.points))
        seen = sparse.csr_array((np.ones(len(sightings.point), np.int32), (sightings.camera, sightings.point)), shape)
        pairs = seen @ seen.T + sparse.eye_array(count, dtype=np.int32, format="csr")
        for prior in sightings.bundle.priors:
            rows, columns = np.repeat(prior.cameras, len(prior.cameras)), np.tile(prior.cameras, len(prior.cameras))
            pairs = pairs + sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), (count, count))
        low = sparse.csr_array(sparse.tril(pairs))
        low.sort_indices()
        if low.nnz > FULL[0] * count * (count + 1) / 2 and count * sightings.bundle.camera.parameters <= FULL[1]:
            return cls(each * (each + 1) // 2, np.zeros(0, np.int64))
        return cls(low.indptr.astype(np.int64), low.indices.astype(np.int64))


@dataclass(frozen=True)
class Reduced:
    r"""The cameras' own equations $S y = -t$, scaled so that the diagonal of H is 1; and what leads back to points."""

    blocks: Array
    """Flat: (d, padded) each, of the lower triangle, without the diagonal of H."""
    top: Array
    """(C, d)."""
    roots: Array
    """(Q, 6): lower triangles of L^-1, V = L L^T."""
    low: Array
    """(Q, 3): L^-1 times the gradient by points."""


def reduce(equations: Equations, pattern: Pattern, *, damping: float) -> Reduced | int:
    """Eliminate the points; if one of them is not determined, its number."""
    sightings, d = equations.sightings, equations.blocks.shape[1]
    dtype = equations.jacobian.dtype
    cubes = equations.cubes.copy()
    cubes[:, [0, 2, 5]] += damping / equations.of_points**2
    blocks = np.zeros(int(pattern.start[-1]) * d * PADDED[d], dtype)
    top = equations.hill * equations.of_cameras
    roots, low = np.empty_like(cubes), np.empty((len(cubes), 3))
    failed = eliminate(
        equations.jacobian, cubes, equations.slope, sightings.point_start, sightings.sighting, sightings.camera,
        equations.of_cameras, pattern.start, pattern.columns, blocks, top, roots, low,
    )  # fmt: skip
    return Reduced(blocks, top, roots, low) if failed < 0 else int(failed)


def matrix(equations: Equations, reduced: Reduced, *, damping: float) -> Array:
    """The dense S, scaled; its lower triangle only."""
    count, d = equations.hill.shape
    scale = equations.of_cameras
    own = equations.blocks * scale[:, :, None] * scale[:, None, :]
    own[:, range(d), range(d)] += damping
    # A column without observations (a fixed camera) stands alone.
    own[:, range(d), range(d)] += np.einsum("cii->ci", equations.blocks) == 0
    out = np.zeros((count * d, count * d))
    dense(reduced.blocks, own, d, out)
    if equations.prior.size:
        out += np.tril(equations.prior * scale.reshape(-1, 1) * scale.reshape(1, -1))
    return out


def sparse_matrix(equations: Equations, reduced: Reduced, pattern: Pattern, *, damping: float) -> sparse.csc_array:
    """S, scaled, both triangles."""
    count, d = equations.hill.shape
    scale = equations.of_cameras
    blocks = reduced.blocks.reshape(-1, d, PADDED[d])[:, :, :d].astype(np.float64)
    own = equations.blocks * scale[:, :, None] * scale[:, None, :]
    own[:, range(d), range(d)] += damping
    own[:, range(d), range(d)] += np.einsum("cii->ci", equations.blocks) == 0
    blocks[pattern.start[1:] - 1] += own
    low = sparse.csr_array(sparse.bsr_array((blocks, pattern.columns, pattern.start), (count * d, count * d)))
    whole = sparse.tril(low) + sparse.tril(low, -1).T
    if equations.prior.size:
        scaling = sparse.diags_array(scale.reshape(-1))
        whole = whole + scaling @ sparse.csr_array(equations.prior) @ scaling
    return sparse.csc_array(whole)


def direct_step(equations: Equations, pattern: Pattern, *, damping: float) -> tuple[Array, Array] | None:
    """Steps of cameras (C, d) and points (Q, 3), or None if the equations are not positive definite."""
    reduced = reduce(equations, pattern, damping=damping)
    if isinstance(reduced, int):
        return None
    right = -reduced.top.reshape(-1)
    try:
        if len(pattern.columns):
            whole = sparse_matrix(equations, reduced, pattern, damping=damping)
            factored = linalg_sparse.splu(
                whole, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
            )
            solved = factored.solve(right)
        else:
            low = matrix(equations, reduced, damping=damping)
            factor = linalg.cho_factor(low, lower=True, overwrite_a=True, check_finite=False)
            solved = linalg.cho_solve(factor, right, check_finite=False)
    except (linalg.LinAlgError, RuntimeError):
        return None
    step = solved.reshape(equations.hill.shape) * equations.of_cameras
    if not np.isfinite(step).all():
        return None
    points = np.empty_like(equations.slope)
    sightings = equations.sightings
    substitute(equations.jacobian, sightings.start, sightings.point, step, reduced.roots, equations.slope, points)
    return step, points
