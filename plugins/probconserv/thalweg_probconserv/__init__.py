"""Laws held on a finished estimate by one linear-Gaussian solve."""

from __future__ import annotations

from typing import Any, TypeVar

from thalweg import Enforcer, Law, Register, hookimpl

Array = TypeVar("Array")


def condition(mean: Array, variance: Array, rows: Any, targets: Any, noise: Any = 0.0) -> tuple[Array, Array]:
    r"""A Gaussian `mean`, `variance` (..., n), given that `rows` (k, n) times the field is `targets` (..., k).

    $\mu' = \mu - V G^T S^{-1} (G \mu - b)$, $v' = v - \mathrm{diag}(V G^T S^{-1} G V)$, $S = G V G^T + R$.
    Exact at `noise` 0. Arrays of numpy give arrays of numpy; tensors of torch give tensors of their dtype and
    device, without gradients. Computed in float64. Rows that follow from the others are dropped, with a warning; for
    what is refused see `engine.update`.
    """
    import warnings

    import numpy as np

    from .engine import update

    def plain(array: Any) -> Any:
        return array.detach().cpu().numpy() if hasattr(array, "detach") else array

    found = update(plain(mean), plain(variance), rows=plain(rows), targets=plain(targets), noise=plain(noise))
    if found.dropped:
        rows_dropped = ", ".join(map(str, found.dropped))
        warnings.warn(f"rows {rows_dropped} follow from the others and were dropped", stacklevel=2)

    def like(array: Any, values: Any) -> Any:
        if hasattr(array, "detach"):
            import torch

            return torch.from_numpy(values).to(array)
        kind = np.asarray(array).dtype
        return values.astype(kind if kind.kind == "f" else np.float64)

    return like(mean, found.mean), like(variance, found.variance)


@hookimpl
def register_laws(register: Register[Law]) -> None:
    from .laws.area_mean import AreaMean

    register("area-mean", AreaMean)


@hookimpl
def register_enforcers(register: Register[Enforcer]) -> None:
    from .enforcers.additive import Additive
    from .enforcers.probconserv import ProbConserv

    register("additive", Additive)
    register("probconserv", ProbConserv)
