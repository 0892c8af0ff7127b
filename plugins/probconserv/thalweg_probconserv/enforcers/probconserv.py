"""Conservation where the estimate is least sure."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr
from pydantic import Field
from thalweg import EstimateError, HandshakeError, Held, Law, OutputEnforcer

from ..holding import HELD, Prior, Smoothing, hold


class ProbConserv(OutputEnforcer):
    r"""The estimate as a Gaussian, conditioned on its laws: cells of large variance are moved most.

    $\mu' = \mu - V G^T S^{-1} (G \mu - b)$, $V' = V - V G^T S^{-1} G V$, $S = G V G^T + R$, with $V$ the diagonal of
    `NAME_variance`, plus `NAME_factor NAME_factor^T` along `rank` if there is one, or the covariance of the members,
    each of which then obeys. No variance grows. All laws are solved jointly; without noise they hold to rounding.
    With `smoothing`, second differences along that dim are first taken to be as small as `correlation` makes them.
    Raises `EstimateError` without any uncertainty, `RunError` for laws that contradict each other, that nothing can
    move, or that are as many as the members.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2302.11002"
    takes: ClassVar[tuple[type[Law], ...]] = HELD
    uses: ClassVar[tuple[str, ...]] = ("variance", "factor", "member")

    smoothing: str = Field(
        "", description="dim along which the field is smoothed before it is corrected; none if empty"
    )
    correlation: float = Field(0.9, ge=0.0, lt=1.0, description="correlation of neighbours along the smoothed dim")
    shrinkage: float = Field(0.0, ge=0.0, lt=1.0, description="share of the members' covariance put on its diagonal")

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        def known(field: xr.DataArray) -> Prior:
            name = str(field.name)
            variance, factor = estimate.get(f"{name}_variance"), estimate.get(f"{name}_factor")
            members = "member" in field.dims and variance is None and factor is None
            if variance is None and factor is None and not members:
                raise EstimateError(
                    f"probconserv needs the variance of {name!r}, which the estimate lacks",
                    allowed=", ".join(map(str, estimate.data_vars)),
                    advice=f"choose a method that gives {name}_variance, or hold the law by `additive`",
                )
            if self.smoothing and (factor is not None or members):
                raise HandshakeError(
                    f"smoothing takes a variance, but {name!r} has {'members' if members else 'a factor'}",
                    allowed=f"an estimate with {name}_variance only",
                    advice="leave `smoothing` out: neighbours are correlated already",
                )
            smoothing = Smoothing(self.smoothing, self.correlation) if self.smoothing else None
            return Prior(variance, factor, members, self.shrinkage, smoothing=smoothing)

        return hold(estimate, held, context=context, prior=known)
