"""Conditioning with a covariance that is known by its products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._arrays import Array, double, namespace, product, transposed
from ._checks import check_laws, check_shapes, row_covariance
from ._solving import Sums, solve
from .engine import Update
from .rows import Dense, operator


def update_correlated(
    mean: Array,
    variance: Array,
    *,
    times: Callable[[Array], Array],
    rows: Any,
    targets: Array,
    noise: Any = 0.0,
    share: Array | None = None,
) -> Update:
    """Condition a Gaussian (..., n) whose covariance times a vector is `times(vector)`, and its diagonal `variance`.

    Takes k products and k arrays of the size of the field. Raises what `engine.update` raises.
    """
    mean, variance, targets = (double(each, like=mean) for each in (mean, variance, targets))
    check_shapes(mean, variance, rows, targets, None)
    check_laws(rows, targets)
    covariance = row_covariance(noise, rows.shape[-2])
    matrix = operator(rows, like=mean, tied=True)
    eye = double(_eye(matrix.count), like=mean)
    xp = namespace(mean)
    across = [
        times(matrix.back(eye[row]) if not _batched(matrix) else matrix.matrix[..., row, :])  # type: ignore[attr-defined]
        for row in range(matrix.count)
    ]
    gain = xp.stack([each + xp.zeros_like(mean) for each in across], -2)
    gram = matrix.times_factor(transposed(gain))
    needed = Sums(matrix.times(mean), gram, matrix.sizes(abs(mean)))
    found = solve(needed, targets, noise=covariance, diagonal=False, share=share)
    held = mean - product(transposed(gain), found.value)
    downdate = transposed(found.root @ gain)
    smaller = xp.clip(variance - (downdate**2).sum(-1), 0.0, None)
    return Update(held, smaller, None, downdate, found.dropped)


def _batched(matrix: object) -> bool:
    return isinstance(matrix, Dense) and matrix.matrix.ndim > 2


def _eye(count: int) -> Any:
    import numpy as np

    return np.eye(count)
