r"""Conditioning a Gaussian on linear laws, with algebra of the size of the laws.

    V = diag v + U U^T       S = G V G^T + R       lambda = S^+ (G mu - b)
    mu' = mu - V G^T lambda      V' = V - Z Z^T      Z = V G^T S^{-1/2}

`G` is (k, n), dense or sparse, and nothing of size n x n is made. Three steps, so that a field may come in parts whose
`sums` add up: `sums` of each part, `solve` once, `moved` for each part. The formulas are the same for numpy and torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._arrays import Array, double, is_tensor, namespace, product, transposed
from ._checks import check_laws, check_members, check_shapes, check_values, row_covariance
from ._solving import Multipliers, Sums, solve
from .rows import Operator, operator


@dataclass(frozen=True)
class Update:
    """A conditioned Gaussian, and the rows that followed from the others and were dropped."""

    mean: Array
    variance: Array
    """What is left of each cell's variance, of `diag v` and `U U^T` together."""
    factor: Array | None = None
    """`U'` (..., n, r), itself within the laws: what is left of `U`."""
    downdate: Array | None = None
    """`Z` (..., n, k), if asked for."""
    dropped: tuple[int, ...] = ()


def update(
    mean: Array,
    variance: Array | None,
    *,
    rows: Any,
    targets: Array,
    noise: Any = 0.0,
    factor: Array | None = None,
    share: Array | None = None,
    downdate: bool = False,
) -> Update:
    """Condition a Gaussian (..., n) on `rows` (k, n) times the field being `targets` (..., k).

    Its covariance is `diag(variance) + factor factor^T`, with `factor` (..., n, r). `rows` are an array, which may have
    leading axes too, or a scipy sparse matrix. `noise` is the variance of the rows: a number, (k,), or (k, k). Cells
    whose mean is NaN weigh nothing and are left as they are; a row whose target is NaN says nothing, and the noise of a
    row that was multiplied by `share` (..., k) counts with its square. A `variance` (n,) is shared by all. Float64.

    Raises `HandshakeError` for shapes that do not fit and for noise that is no variance, `EstimateError` for a mean or
    variance that is not finite or negative, and `RunError` for rows that contradict each other or cannot be moved.
    """
    like = mean if is_tensor(mean) else variance if is_tensor(variance) else None
    mean, targets = double(mean, like=like), double(targets, like=like)
    variance = None if variance is None else double(variance, like=like)
    factor = None if factor is None else double(factor, like=like)
    check_shapes(mean, variance, rows, targets, factor)
    covariance = row_covariance(noise, rows.shape[-2])
    there = ~namespace(mean).isnan(mean)
    check_values(mean, variance, there)
    check_laws(rows, targets)

    matrix = operator(rows, like=like, tied=factor is not None or covariance.ndim == 2)
    known, free, low = masked(mean, variance, factor, there)
    found = solve(sums(matrix, known, free, low), targets, noise=covariance, diagonal=matrix.disjoint, share=share)
    held, smaller, left = moved(matrix, known, free, low, found)
    if not bool(there.all()):
        xp = namespace(mean)
        held = xp.where(there, held, mean)
        smaller = smaller if variance is None else xp.where(there, smaller, variance)
        left = left if factor is None else xp.where(there[..., None], left, factor)
    directions = directions_of(matrix, free, low, found) if downdate else None
    return Update(held, smaller, left, directions, found.dropped)


def update_members(
    members: Array,
    *,
    rows: Any,
    targets: Array,
    noise: Any = 0.0,
    shrinkage: float = 0.0,
    share: Array | None = None,
) -> tuple[Array, tuple[int, ...]]:
    """Condition an ensemble (..., n, members), each of which then obeys; with the rows that were dropped.

    The covariance is the sample's, its off-diagonal scaled by `1 - shrinkage`; what is left of it is that of the
    returned members (with noise, by a square root, so that nothing is drawn).

    Raises `RunError` for as many exact rows as members or nearly so, unless there is shrinkage.
    """
    members = double(members, like=members)
    count = members.shape[-1]
    mean = members.mean(-1)
    away = members - mean[..., None]
    norm = ((1.0 - shrinkage) / max(1, count - 1)) ** 0.5
    if shrinkage == 0.0:
        check_members(rows.shape[-2], count, row_covariance(noise, rows.shape[-2]))
    own = shrinkage * (away**2).sum(-1) / max(1, count - 1) if shrinkage else None
    found = update(mean, own, rows=rows, targets=targets, noise=noise, factor=norm * away, share=share)
    assert found.factor is not None
    held = found.mean[..., None] + found.factor / norm
    xp = namespace(members)
    return xp.where(xp.isnan(members), members, held), found.dropped


def masked(
    mean: Array, variance: Array | None, factor: Array | None, there: Array
) -> tuple[Array, Array | None, Array | None]:
    """Mean, variance and factor with zeros where nothing is; the variance stays shared where the mask is."""
    if bool(there.all()):
        return mean, variance, factor
    xp = namespace(mean)
    zero = xp.zeros_like(mean)
    known = xp.where(there, mean, zero)
    if variance is not None:
        flat = there.reshape(-1, there.shape[-1])
        mask = flat[0] if variance.ndim == 1 and bool((flat == flat[0]).all()) else there
        variance = xp.where(mask, variance, xp.zeros_like(variance))
    if factor is not None:
        factor = xp.where(there[..., None], factor, xp.zeros_like(factor))
    return known, variance, factor


def sums(rows: Operator, mean: Array, variance: Array | None, factor: Array | None) -> Sums:
    """What the laws need of these cells."""
    cross = None if factor is None else rows.times_factor(factor)
    gram: Array = 0.0 if variance is None else rows.gram(variance)
    magnitude = rows.sizes(abs(mean.detach() if is_tensor(mean) else mean))
    return Sums(rows.times(mean), gram, magnitude, cross)


def moved(
    rows: Operator, mean: Array, variance: Array | None, factor: Array | None, multipliers: Multipliers
) -> tuple[Array, Array, Array | None]:
    """Mean, variance and factor of these cells, given the multipliers of the whole field."""
    held = mean
    if variance is not None:
        held = held - variance * rows.back(multipliers.value)
    if factor is None:
        assert variance is not None
        smaller = variance - rows.reduction(variance, multipliers.root)
        return held, _floored(smaller), None
    cross = multipliers.cross
    assert cross is not None
    held = held - product(factor, product(transposed(cross), multipliers.value))
    before = (factor**2).sum(-1)
    weights = multipliers.inverse(cross)
    across = _gain(rows, variance, factor, weights, cross)
    # diag(V - Z Z^T), of which diag(Z Z^T) = v^2 q + 2 v (U . G^T W) + U C U^T, and `across` = v G^T W + U C.
    smaller = before - (factor * across).sum(-1)
    if variance is not None:
        further = variance * (factor * rows.back_factor(weights)).sum(-1)
        smaller = smaller + variance - rows.reduction(variance, multipliers.root) - further
    left = across
    if multipliers.noise_root is not None:
        left = _gain(rows, variance, factor, multipliers.square_root(cross), cross)
    return held, _floored(smaller), factor - left


def directions_of(rows: Operator, variance: Array | None, factor: Array | None, multipliers: Multipliers) -> Array:
    """`Z = V G^T S^{-1/2}` (..., n, k), in which the covariance shrinks by `Z Z^T`."""
    root = multipliers.root
    if multipliers.diagonal:
        root = root[..., None] * double(_identity(rows.count), like=root)
    weights = transposed(root)
    found: Array = 0.0
    if variance is not None:
        found = variance[..., None] * rows.back_factor(weights)
    if factor is not None:
        found = found + factor @ (transposed(multipliers.cross) @ weights)
    return found


def _gain(rows: Operator, variance: Array | None, factor: Array, weights: Array, cross: Array) -> Array:
    """`V G^T W` for `weights` (..., k, r)."""
    found = factor @ (transposed(cross) @ weights)
    return found if variance is None else found + variance[..., None] * rows.back_factor(weights)


def _floored(variance: Array) -> Array:
    """What rounding put below 0, at 0; in place where nothing is recorded."""
    if is_tensor(variance):
        return variance.clamp(min=0.0)
    return np.maximum(variance, 0.0, out=variance)


def _identity(count: int) -> Any:
    return np.eye(count)
