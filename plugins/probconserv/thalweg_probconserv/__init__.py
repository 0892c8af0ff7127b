"""Laws held on a finished estimate by one linear-Gaussian solve."""

from __future__ import annotations

from typing import Any, TypeVar

from thalweg import Enforcer, Register, hookimpl

Array = TypeVar("Array")


def condition(mean: Array, variance: Array, rows: Any, targets: Any, noise: Any = 0.0) -> tuple[Array, Array]:
    r"""A Gaussian `mean`, `variance` (..., n), given that `rows` (k, n) times the field is `targets` (..., k).

    $\mu' = \mu - V G^T S^{-1} (G \mu - b)$, $v' = v - \mathrm{diag}(V G^T S^{-1} G V)$, $S = G V G^T + R$.
    Exact at `noise` 0. Arrays of numpy give arrays of numpy; tensors of torch give tensors of their dtype and device,
    with gradients; dask arrays give lazy dask arrays in their chunks. `rows` may be a scipy sparse matrix. Computed in
    float64. Rows that follow from the others are dropped, with a warning; for what is refused see `engine.update`.
    """
    import warnings

    from ._arrays import is_lazy

    if is_lazy(mean):
        lazy: tuple[Array, Array] = _lazily(mean, variance, rows, targets, noise)
        return lazy
    from .engine import update

    found = update(mean, variance, rows=rows, targets=targets, noise=noise)
    if found.dropped:
        rows_dropped = ", ".join(map(str, found.dropped))
        warnings.warn(f"rows {rows_dropped} follow from the others and were dropped", stacklevel=2)
    return _like(mean, found.mean), _like(variance, found.variance)


def _like(array: Any, values: Any) -> Any:
    """The values in the dtype of what was given."""
    from ._arrays import is_tensor

    if is_tensor(values):
        return values.to(array.dtype) if is_tensor(array) and array.dtype.is_floating_point else values
    import numpy as np

    kind = np.asarray(array).dtype
    return values.astype(kind if kind.kind == "f" else np.float64, copy=False)


def _lazily(mean: Any, variance: Any, rows: Any, targets: Any, noise: Any) -> Any:
    from ._arrays import is_sparse
    from ._checks import check_shapes
    from .chunked import update_chunks
    from .rows import Columns, sparse

    check_shapes(mean, variance, rows, targets, None)
    diagonal = is_sparse(rows) and sparse(rows).disjoint
    if is_sparse(rows):
        rows = rows.tocsr()
    found = update_chunks(
        mean,
        variance,
        blocks=Columns(rows),
        count=rows.shape[0],
        targets=targets,
        noise=noise,
        outer=mean.ndim - 1,
        diagonal=diagonal,
    )
    return found.mean, found.variance


@hookimpl
def register_enforcers(register: Register[Enforcer]) -> None:
    from .enforcers.additive import Additive
    from .enforcers.conditioned_sampling import ConditionedSampling
    from .enforcers.last_layer import LastLayer
    from .enforcers.multiplicative import Multiplicative
    from .enforcers.penalty import Penalty
    from .enforcers.probconserv import ProbConserv

    register("additive", Additive)
    register("conditioned-sampling", ConditionedSampling)
    register("last-layer", LastLayer)
    register("multiplicative", Multiplicative)
    register("penalty", Penalty)
    register("probconserv", ProbConserv)
