"""The system of the laws, k x k: which rows are independent, and its inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from thalweg import RunError

from ._arrays import Array, Plain, double, namespace, plain, product, transposed
from ._checks import named

DEPENDENT = 1e-12
"""Pivots of the system scaled to a unit diagonal, per row, at which a row is taken to follow from the others."""
CONTRADICTION = 1e-6
"""What dependent rows may differ by, relative to `sum |g mu| + |b|`: targets are often known in float32 only."""
REFINEMENTS = 2


@dataclass(frozen=True)
class Sums:
    """What the laws need of a field, by sums over its cells: those of two parts of a field add up."""

    product: Array
    """`G mu` (..., k)."""
    gram: Array
    """`G diag(v) G^T` (..., k, k), or its diagonal (..., k)."""
    magnitude: Array
    """`|G| |mu|` (..., k)."""
    cross: Array | None = None
    """`G U` (..., k, r)."""


@dataclass(frozen=True)
class Multipliers:
    """`lambda = S^+ (G mu - b)` (..., k), and `root` with `S^+ = root^T root`: (..., k, k), or (..., k) if diagonal."""

    value: Array
    root: Array
    cross: Array | None = None
    """`G U` of the whole field."""
    noise_root: Array | None = None
    """A square root of the noise, if there is any."""
    dropped: tuple[int, ...] = ()
    diagonal: bool = False

    def inverse(self, right: Array) -> Array:
        """`S^+ Y` for (..., k, r)."""
        if self.diagonal:
            return (self.root**2)[..., None] * right
        return transposed(self.root) @ (self.root @ right)

    def square_root(self, right: Array) -> Array:
        """`S^{-T/2} (S^{1/2} + R^{1/2})^{-1} Y`: the gain that moves a square root of the covariance."""
        if self.noise_root is None:
            return self.inverse(right)
        xp = namespace(right)
        inner = double(np.eye(right.shape[-2]), like=right) + self.root @ self.noise_root
        return transposed(self.root) @ xp.linalg.solve(inner, self.root @ right)


def solve(sums: Sums, targets: Array, *, noise: Plain, diagonal: bool, share: Array | None = None) -> Multipliers:
    """Solve the k x k system; without a loop over rows where it is `diagonal`.

    A row whose target is NaN says nothing: the others are solved as if it were not there. `share` (..., k) is what a
    row has been multiplied by: its noise counts with the square.

    Raises `RunError` for rows that nothing can move, and for rows that contradict each other.
    """
    xp = namespace(sums.product, targets)
    silent = xp.isnan(targets) | xp.zeros_like(sums.product, dtype=bool)
    gap = xp.where(silent, xp.zeros_like(sums.product), sums.product - targets)
    magnitude = plain(sums.magnitude) + np.abs(np.nan_to_num(plain(targets)))
    covariance = _covariance(noise, share, gap, diagonal=diagonal)
    system = sums.gram + covariance
    if sums.cross is not None:
        system = system + sums.cross @ transposed(sums.cross)
    variances = plain(system if diagonal else namespace(system).einsum("...ii->...i", system))
    still = ~(variances > 0.0) | plain(silent)
    _refuse_still(still, plain(gap), magnitude)
    resting = double(still, like=gap)
    spread = system if diagonal else xp.einsum("...ii->...i", system)
    scale = (1.0 - resting) / xp.sqrt(spread * (1.0 - resting) + resting)
    if diagonal:
        return Multipliers(scale**2 * gap, scale, diagonal=True)

    correlation = system * scale[..., :, None] * scale[..., None, :]
    kept = _independent(plain(correlation), still)
    mask = double(kept, like=gap)
    inner = correlation * mask[..., :, None] * mask[..., None, :]
    inner = inner + double(np.eye(gap.shape[-1]), like=gap) * (1.0 - mask)[..., None, :]
    inverse = xp.linalg.inv(xp.linalg.cholesky(inner)) * mask[..., :, None] * mask[..., None, :]
    root = inverse * scale[..., None, :]
    value = product(transposed(root), product(root, gap))
    for _ in range(REFINEMENTS):
        value = value + product(transposed(root), product(root, gap - product(system, value)))
    dropped = ~kept & ~still
    if dropped.any():
        _refuse_contradiction(dropped, plain(gap), plain(system), plain(root), plain(value), magnitude)
    any_dropped = tuple(int(each) for each in np.flatnonzero(dropped.reshape(-1, dropped.shape[-1]).any(0)))
    return Multipliers(value, root, sums.cross, _root_of(noise, share, gap), any_dropped)


def _covariance(noise: Plain, share: Array | None, like: Array, *, diagonal: bool) -> Array:
    """The noise of the rows: variances (..., k) if the system is diagonal, else (..., k, k)."""
    found = double(noise if diagonal or noise.ndim == 2 else np.diag(noise), like=like)
    if share is None or not noise.any():
        return found
    return found * share**2 if diagonal else found * share[..., :, None] * share[..., None, :]


def _root_of(noise: Plain, share: Array | None, like: Array) -> Array | None:
    if not noise.any():
        return None
    if noise.ndim == 1:
        root = np.diag(np.sqrt(noise))
    else:
        values, vectors = np.linalg.eigh(noise)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    found = double(root, like=like)
    return found if share is None else share[..., :, None] * found


def _refuse_still(still: Plain, gap: Plain, magnitude: Plain) -> None:
    """A row that nothing can move may stay only if it holds already."""
    stuck = still & ~(np.abs(gap) <= CONTRADICTION * magnitude)
    rows = np.flatnonzero(stuck.reshape(-1, stuck.shape[-1]).any(0))
    if len(rows):
        raise RunError(
            f"{named(rows)} cannot be held: no cell that it weighs has any variance",
            allowed="rows that weigh at least one cell of positive variance, or have noise",
            advice="give the estimate a variance there, or leave the law out",
        )


def _independent(correlation: Plain, still: Plain) -> Plain:
    """Rows that do not follow from the others, found with pivots where an ordinary factorisation shows that some do."""
    from scipy.linalg import lapack

    size = correlation.shape[-1]
    items = correlation.reshape(-1, size, size)
    kept = np.broadcast_to(~still, correlation.shape[:-1]).copy().reshape(-1, size)
    tolerance = DEPENDENT * size
    moving = np.where(kept[:, :, None] & kept[:, None, :], items, np.eye(size))
    try:
        pivots = np.linalg.cholesky(moving)
        weak = (np.einsum("...ii->...i", pivots) ** 2 <= tolerance).any(-1)
    except np.linalg.LinAlgError:
        weak = np.ones(len(items), bool)
    for item in np.flatnonzero(weak):
        _, order, rank, _ = lapack.dpstrf(moving[item], tol=tolerance)
        kept[item, order[int(rank) :] - 1] = False
    return kept.reshape(correlation.shape[:-1])


def _refuse_contradiction(
    dropped: Plain, gap: Plain, system: Plain, root: Plain, value: Plain, magnitude: Plain
) -> None:
    combination = np.abs(system @ (transposed(root) @ root))
    allowed = CONTRADICTION * (magnitude + product(combination, magnitude))
    excess = dropped & (np.abs(gap - product(system, value)) > allowed)
    if excess.any():
        rows = np.flatnonzero(excess.reshape(-1, excess.shape[-1]).any(0))
        raise RunError(
            f"the laws contradict each other: {named(rows)} would follow from the others, its target not",
            allowed=f"targets of dependent rows that agree to {CONTRADICTION:g} of sum |g x| + |b|",
            advice="leave one of the laws out, or give them noise",
        )
