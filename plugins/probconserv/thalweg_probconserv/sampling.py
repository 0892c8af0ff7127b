"""Draws of a Gaussian that obey its laws."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arrays import Array, double, is_tensor, namespace, plain, product, transposed
from ._checks import check_laws, check_shapes, check_values, row_covariance
from ._solving import solve
from .engine import masked, sums
from .rows import operator


def samples(
    mean: Array,
    variance: Array | None,
    *,
    rows: Any,
    targets: Array,
    noise: Any = 0.0,
    factor: Array | None = None,
    count: int,
    seed: int,
) -> Array:
    r"""`count` draws (count, ..., n) of the conditioned Gaussian; each obeys the laws (up to their noise).

    $x' = x - V G^T S^{-1} (G x + \varepsilon - b)$ with $x$ drawn from the unconditioned Gaussian and $\varepsilon$
    from the noise: exact, and never a matrix n x n. Raises what `engine.update` raises.
    """
    like = mean if is_tensor(mean) else None
    mean, targets = double(mean, like=like), double(targets, like=like)
    variance = None if variance is None else double(variance, like=like)
    factor = None if factor is None else double(factor, like=like)
    check_shapes(mean, variance, rows, targets, factor)
    check_laws(rows, targets)
    covariance = row_covariance(noise, rows.shape[-2])
    there = ~namespace(mean).isnan(mean)
    check_values(mean, variance, there)
    matrix = operator(rows, like=like, tied=factor is not None or covariance.ndim == 2)
    known, free, factor = masked(mean, variance, factor, there)
    found = solve(sums(matrix, known, free, factor), targets, noise=covariance, diagonal=matrix.disjoint)
    generator = np.random.default_rng(seed)
    root = _root(covariance)

    def normal(*shape: int) -> Array:
        return double(generator.standard_normal(shape), like=mean)

    drawn = []
    for _ in range(count):
        field = known
        if free is not None:
            field = field + namespace(mean).sqrt(free) * normal(*mean.shape)
        if factor is not None:
            field = field + product(factor, normal(*mean.shape[:-1], factor.shape[-1]))
        wanted = targets - product(double(root, like=mean), normal(*plain(targets).shape))
        # Without noise the second round takes away what rounding left of the first.
        for _ in range(1 if covariance.any() else 2):
            weights = found.inverse((matrix.times(field) - wanted)[..., None])[..., 0]
            change = 0.0 if free is None else free * matrix.back(weights)
            if factor is not None:
                assert found.cross is not None
                change = change + product(factor, product(transposed(found.cross), weights))
            field = field - change
        drawn.append(namespace(mean).where(there, field, mean))
    return namespace(mean).stack(drawn)


def _root(covariance: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if covariance.ndim == 1:
        return np.diag(np.sqrt(covariance))
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
