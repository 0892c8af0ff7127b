"""The normal equations of one linearisation, in their blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .normal import normal
from .problem import Array
from .robust import Loss
from .state import Sightings, State


@dataclass(frozen=True)
class Equations:
    r"""$H = J^T J$ and $g = J^T r$: diagonal blocks in float64, the Jacobian as it is stored."""

    sightings: Sightings
    jacobian: Array
    """(m, d + 3, O)."""
    blocks: Array
    """(C, d, d): of cameras, priors left out."""
    hill: Array
    """(C, d): gradient by cameras, with priors."""
    cubes: Array
    """(Q, 6): lower triangles of points."""
    slope: Array
    """(Q, 3): gradient by points."""
    prior: Array
    """(C d, C d), or empty."""
    of_cameras: Array
    """(C, d): 1 / sqrt(diag H), for scaling and for damping."""
    of_points: Array
    """(Q, 3)."""

    @classmethod
    def at(
        cls, sightings: Sightings, state: State, residual: Array, *, loss: Loss, dtype: type[np.floating]
    ) -> Equations:
        """Linearised at a state; `residual` (m, O) is that state's, in sigmas, and not yet weighted."""
        count, d, points = len(state.moves), sightings.bundle.camera.parameters, len(state.points)
        weight = np.ones(residual.shape[1])
        if loss.kernel != "squared":
            weight = np.sqrt(loss.weight((residual**2).sum(0)))
            residual = residual * weight
        j = sightings.jacobian(state, weight, dtype=dtype)
        blocks, hill = np.empty((count, d, d)), np.empty((count, d))
        cubes, slope = np.empty((points, 6)), np.empty((points, 3))
        normal(j, residual, sightings.start, sightings.point, blocks, hill, cubes, slope)
        prior, extra = sightings.prior(state)
        diagonal = np.einsum("cii->ci", blocks).copy()
        if prior.size:
            hill += extra.reshape(hill.shape)
            diagonal += prior.diagonal().reshape(hill.shape)
        return cls(
            sightings, j, blocks, hill, cubes, slope, prior, _inverse_root(diagonal), _inverse_root(cubes[:, [0, 2, 5]])
        )

    def predicted(self, cameras: Array, points: Array, damping: float) -> float:
        """By how much the quadratic model says that the cost falls along a step that solves the damped equations."""
        fall = -float((self.hill * cameras).sum() + (self.slope * points).sum())
        size = float(((cameras / self.of_cameras) ** 2).sum() + ((points / self.of_points) ** 2).sum())
        return 0.5 * (fall + damping * size)


FLOOR = 1e-8


def _inverse_root(diagonal: Array) -> Array:
    """1 / sqrt, of a column that is zero up to rounding (points on an optical axis) as if it were small."""
    low = FLOOR * diagonal.max(axis=0)
    return np.asarray(1.0 / np.sqrt(np.maximum(diagonal, np.where(low > 0, low, 1.0))))
