"""Conservation where the estimate is least sure."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr
from thalweg import EstimateError, Law, LinearLaw, OutputEnforcer

from ..holding import hold


class ProbConserv(OutputEnforcer):
    r"""The estimate as a Gaussian, conditioned on its laws: cells of large variance are moved most.

    $\mu' = \mu - V G^T S^{-1} (G \mu - b)$, $v' = v - \mathrm{diag}(V G^T S^{-1} G V)$, $S = G V G^T + R$, with $V$
    the diagonal of `NAME_variance`. No variance grows. All laws are solved jointly; without noise they hold to
    rounding.
    Raises `EstimateError` without a variance, `RunError` for laws that contradict each other or that nothing can move.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw,)
    uses: ClassVar[tuple[str, ...]] = ("variance",)

    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        def variance(name: str) -> xr.DataArray:
            if f"{name}_variance" not in estimate:
                raise EstimateError(
                    f"probconserv needs the variance of {name!r}, which the estimate lacks",
                    allowed=", ".join(map(str, estimate.data_vars)),
                    advice=f"choose a method that gives {name}_variance, or hold the law by `additive`",
                )
            return estimate[f"{name}_variance"]

        return hold(estimate, laws, context=context, covariance=variance)
