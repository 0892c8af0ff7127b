r"""Conditioning a Gaussian on linear laws, with algebra of the size of the laws.

    S = G V G^T + R      lambda = S^+ (G mu - b)      mu' = mu - V G^T lambda
    V = diag v           Z = V G^T S^{-1/2}           v'  = v - rowsum(Z^2)

`G` is (k, n): nothing of size n x n is made, and the k x k system is solved in the eigenvectors of `S` scaled to a unit
diagonal, so that neither the scale nor the order of the rows matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from thalweg.errors import EstimateError, HandshakeError, RunError

Array = NDArray[Any]

_DEPENDENT = 1e-12
"""Eigenvalues of the scaled `S`, relative to the largest, at which rows are taken to say the same."""
_CONTRADICTION = 1e-6
"""What dependent rows may differ by, relative to `sum |g mu| + |b|`: targets are often known in float32 only."""
_REFINEMENTS = 2


@dataclass(frozen=True)
class Update:
    """A conditioned mean and variance, and the rows that followed from the others and were dropped."""

    mean: Array
    variance: Array
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Spectrum:
    """`S = D^-1 Q diag(e) Q^T D^-1` with `D` in `scale`; `inverse` is 1 / e, or 0 where rows are dependent."""

    scale: Array
    vectors: Array
    inverse: Array

    def project(self, right: Array) -> Array:
        """`Q^T D right`."""
        return np.asarray((self.vectors.swapaxes(-1, -2) @ (self.scale * right)[..., None])[..., 0])

    def solve(self, right: Array) -> Array:
        """`S^+ right`."""
        inner = (self.inverse * self.project(right))[..., None]
        return np.asarray(self.scale * (self.vectors @ inner)[..., 0])


def update(mean: Array, variance: Array, *, rows: Array, targets: Array, noise: Array | float = 0.0) -> Update:
    """Condition `mean` and `variance` (..., n) on `rows` (k, n) times the field being `targets` (..., k).

    `rows` may have leading axes too. `noise` is the variance of the rows: a number, (k,), or (k, k). Cells whose mean
    is NaN weigh nothing and are left as they are. Computed and returned in float64.

    Raises `HandshakeError` for shapes that do not fit and for noise that is no variance, `EstimateError` for a mean or
    variance that is not finite or negative, and `RunError` for rows that contradict each other or cannot be moved.
    """
    mean, variance, rows, targets = (np.asarray(each, np.float64) for each in (mean, variance, rows, targets))
    covariance = _noise(noise, rows, targets, mean, variance)
    there = ~np.isnan(mean)
    _check_values(mean, variance, there, rows, targets)
    known, free = np.where(there, mean, 0.0), np.where(there, variance, 0.0)

    system = (rows * free[..., None, :]) @ rows.swapaxes(-1, -2) + covariance
    gap = (rows @ known[..., None])[..., 0] - targets
    magnitude = (np.abs(rows) @ np.abs(known)[..., None])[..., 0] + np.abs(targets)
    spectrum = _spectrum(system)
    dropped = _dropped(system, spectrum, gap, magnitude)

    multiplier = spectrum.solve(gap)
    for _ in range(_REFINEMENTS):
        multiplier = multiplier + spectrum.solve(gap - (system @ multiplier[..., None])[..., 0])
    moved = known - free * (rows.swapaxes(-1, -2) @ multiplier[..., None])[..., 0]

    # One row at a time: k arrays of the size of the field would be the largest thing here.
    reduction = np.zeros(moved.shape)
    weights = np.sqrt(spectrum.inverse)[..., None] * (spectrum.vectors * spectrum.scale[..., None]).swapaxes(-1, -2)
    for row in range(rows.shape[-2]):
        direction = (weights[..., row : row + 1, :] @ rows)[..., 0, :]
        reduction += (free * direction) ** 2
    smaller = np.maximum(free - reduction, 0.0)
    return Update(np.where(there, moved, mean), np.where(there, smaller, variance), dropped)


def _spectrum(system: Array) -> _Spectrum:
    diagonal = np.diagonal(system, axis1=-2, axis2=-1)
    still = np.flatnonzero((diagonal <= 0.0).reshape(-1, diagonal.shape[-1]).any(0))
    if len(still):
        raise RunError(
            f"{_named(still)} cannot be held: no cell that it weighs has any variance",
            allowed="rows that weigh at least one cell of positive variance, or have noise",
            advice="give the estimate a variance there, or leave the law out",
        )
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(system * scale[..., :, None] * scale[..., None, :])
    kept = values > _DEPENDENT * values[..., -1:]
    return _Spectrum(scale, vectors, np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0))


def _dropped(system: Array, spectrum: _Spectrum, gap: Array, magnitude: Array) -> tuple[int, ...]:
    """The dependent rows. Raises `RunError` if their targets contradict those of the others."""
    dependent = np.broadcast_to(spectrum.inverse == 0.0, gap.shape)
    if not dependent.any():
        return ()
    allowed = _CONTRADICTION * (np.abs(spectrum.vectors).swapaxes(-1, -2) @ (spectrum.scale * magnitude)[..., None])
    excess = np.abs(spectrum.project(gap)) - allowed[..., 0]
    size = system.shape[-1]
    worst = int(dependent.sum(-1).argmax())
    matrix = np.broadcast_to(system, (*gap.shape[:-1], size, size)).reshape(-1, size, size)[worst]
    scale = 1.0 / np.sqrt(np.diagonal(matrix))
    _, order, rank, _ = lapack.dpstrf(matrix * scale[:, None] * scale, tol=_DEPENDENT * size)
    # Where the two criteria differ by one, the eigenvalues decide, as they did in the solve.
    rank = min(int(rank), size - int(dependent.sum(-1).max()))
    dropped = tuple(sorted(int(each) - 1 for each in order[rank:]))
    if (dependent & (excess > 0.0)).any():
        raise RunError(
            f"the laws contradict each other: {_named(np.array(dropped))} would follow from the others, its target not",
            allowed=f"targets of dependent rows that agree to {_CONTRADICTION:g} of sum |g x| + |b|",
            advice="leave one of the laws out, or give them noise",
        )
    return dropped


def _noise(noise: Array | float, rows: Array, targets: Array, mean: Array, variance: Array) -> Array:
    """The covariance `R` of the rows (k, k), when all shapes fit."""
    given = f"mean {mean.shape}, variance {variance.shape}, rows {rows.shape}, targets {targets.shape}"
    allowed = "mean and variance (..., n), rows (..., k, n) with k of 1 or more, targets (..., k)"
    if min(mean.ndim, variance.ndim, targets.ndim) < 1 or rows.ndim < 2 or 0 in rows.shape[-2:]:
        raise HandshakeError(f"{given} do not fit", allowed=allowed, advice="give each row a target")
    count = rows.shape[-2]
    try:
        batch = np.broadcast_shapes(mean.shape[:-1], rows.shape[:-2], targets.shape[:-1])
    except ValueError:
        batch = (-1,)
    fits = mean.shape == variance.shape and batch == mean.shape[:-1]
    if not fits or mean.shape[-1] != rows.shape[-1] or targets.shape[-1] != count:
        raise HandshakeError(f"{given} do not fit", allowed=allowed, advice="give each row a target")
    array = np.asarray(noise, np.float64)
    if array.shape not in ((), (count,), (count, count)):
        raise HandshakeError(f"noise {array.shape} does not fit {count} rows", allowed="a number, (k,) or (k, k)")
    covariance = array if array.ndim == 2 else np.eye(count) * array
    symmetric = np.isfinite(covariance).all() and np.array_equal(covariance, covariance.T)
    if not symmetric or np.linalg.eigvalsh(covariance)[0] < -1e-12 * np.abs(covariance).max():
        raise HandshakeError(
            f"noise {noise!r} is no variance", allowed="0 or more; a matrix symmetric and positive semi-definite"
        )
    return covariance


def _check_values(mean: Array, variance: Array, there: Array, rows: Array, targets: Array) -> None:
    if np.isinf(mean).any():
        raise EstimateError("the mean is infinite", allowed="finite values, or NaN where there is no field")
    bad = there & ~(np.isfinite(variance) & (variance >= 0.0))
    if bad.any():
        raise EstimateError(
            f"the variance is {float(variance[bad][0])!r} at {int(bad.sum())} of {int(there.sum())} cells",
            allowed="finite values of 0 or more wherever the mean is there",
            advice="look at what the method gives as its variance",
        )
    for name, array in (("rows", rows), ("targets", targets)):
        if not np.isfinite(array).all():
            raise EstimateError(
                f"the {name} of the laws are not finite",
                allowed="finite numbers",
                advice="look for missing values in what the law is computed from",
            )


def _named(rows: Array) -> str:
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(str(each) for each in rows)}"
