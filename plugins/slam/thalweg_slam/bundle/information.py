"""What the observations say of the cameras, with the points eliminated and nothing damped."""

from __future__ import annotations

import numpy as np
from thalweg import EstimateError

from .diagnosis import in_the_whole
from .direct import Pattern, matrix, reduce
from .equations import Equations
from .problem import Array, Bundle
from .robust import Loss
from .state import Sightings, State

SMALL = 1e-9
"""An eigenvalue of the scaled system (diagonal of H = 1) below this is zero up to rounding."""


def reduced_system(bundle: Bundle, *, loss: Loss | None = None) -> tuple[Array, Array, float]:
    """Information (C d, C d), gradient (C d,) and constant of the cameras, points eliminated, at the bundle's state.

    The quadratic model of the cost over steps of the cameras. Rows of cameras that are fixed are zero.
    Raises `EstimateError` for points whose place is not determined.
    """
    loss = loss or Loss()
    sightings, state = Sightings.of(bundle), State.of(bundle)
    residual = sightings.residuals(state)
    equations = Equations.at(sightings, state, residual, loss=loss, dtype=np.float64)
    count = len(bundle)
    each = np.arange(count + 1)
    whole = Pattern(each * (each + 1) // 2, np.zeros(0, np.int64))
    reduced = reduce(equations, whole, damping=0.0)
    if isinstance(reduced, int):
        seen = int((bundle.observations[:, 1] == reduced).sum())
        raise EstimateError(
            f"point {reduced} is not determined by the {seen} cameras that see it",
            advice="leave it out: its lines of sight are parallel",
        )
    low = matrix(equations, reduced, damping=0.0)
    scaled = np.tril(low) + np.tril(low, -1).T
    back = 1.0 / equations.of_cameras.reshape(-1)
    held = np.repeat(bundle.fixed, bundle.camera.parameters)
    information = scaled * back[:, None] * back[None, :]
    information[held] = 0.0
    information[:, held] = 0.0
    gradient = reduced.top.reshape(-1) * back
    cost = loss.value((residual**2).sum(0)) + sightings.prior_cost(state)
    return information, gradient, cost - 0.5 * float((reduced.low**2).sum())


def gauge(bundle: Bundle) -> int:
    """Dimensions of motion that observations of this kind of camera can never see: 7, 6 if it measures lengths."""
    if bundle.priors:
        return 0
    held = int(bundle.fixed.sum())
    if bundle.model == "stereo":
        return 0 if held else 6
    return (7, 1)[held] if held < 2 else 0


def covariance(bundle: Bundle, *, loss: Loss | None = None) -> Array:
    """(C d, C d) of steps of the cameras, zero for fixed ones, at the bundle's state, which should be a minimum.

    What is gauge (`gauge`) has no variance. Raises `EstimateError` that names cameras if more is not determined.
    """
    information, _, _ = reduced_system(bundle, loss=loss)
    d = bundle.camera.parameters
    free = np.flatnonzero(np.repeat(~bundle.fixed, d))
    own = information[np.ix_(free, free)]
    scale = 1.0 / np.sqrt(np.where(own.diagonal() > 0, own.diagonal(), 1.0))
    values, vectors = np.linalg.eigh(own * scale[:, None] * scale[None, :])
    expected = gauge(bundle)
    small = int((values < SMALL).sum())
    if small > expected:
        weight = (vectors[:, :small] ** 2).sum(axis=1)
        cameras = np.unique(free[np.argsort(-weight, kind="stable")[: max(3, small)]] // d)
        raise EstimateError(
            f"the window is rank-deficient by {small - expected}: "
            f"cameras {in_the_whole('camera', cameras, bundle).tolist()!r} can move unseen",
            allowed=f"a gauge of {expected} dimensions",
            advice="use larger windows, leave these cameras out, or give a Prior",
        )
    kept = vectors[:, expected:] * scale[:, None]
    whole = np.zeros_like(information)
    whole[np.ix_(free, free)] = (kept / values[expected:]) @ kept.T
    return whole
