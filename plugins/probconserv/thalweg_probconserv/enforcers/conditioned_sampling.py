"""Laws held while sampling, by the covariance that the sampler itself implies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import xarray as xr
from pydantic import Field, PositiveInt
from thalweg import Denoised, DifferentiableLaw, Held, Law, LinearLaw, RunError, SamplingEnforcer

from ..covariance import Covariance

if TYPE_CHECKING:
    from torch import Tensor

AT_LAST = 30
"""Passes of Newton's method at the last step, where laws are held exactly."""


class ConditionedSampling(SamplingEnforcer):
    r"""Each denoised estimate, conditioned on the laws as `probconserv` conditions a finished one; exact at the end.

    $\hat x' = \hat x - S H^T (H S H^T + R)^{-1} h$, where $S = \mathrm{Cov}[x \mid z]$ is what the denoiser implies
    by Tweedie's formula, $\frac{s^2}{a} N J^T$: no weight and no trained network. Of a Gaussian, under linear laws,
    what is drawn then has the conditional distribution. It costs a vector-Jacobian product of the denoiser for each
    row of the laws, at each step. All laws of the variant are solved jointly, through the decoder where the sampler's
    states are latent; laws that are not linear by Newton's method. An estimate that is certain, so that its covariance
    moves nothing, becomes the nearest one that obeys. Raises `RunError` for an estimate that is not finite, or that a
    law has no gradient at and does not hold (rain asked of a dry one), or that cannot be moved to a target (what a
    decoder does not make), with its sample and member; `OptionError` for
    covariance `ensemble` of one member.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2310.06721"
    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw, DifferentiableLaw)

    covariance: Covariance = Field(
        "vjp",
        description="what moves with what: vjp, the denoiser's own; diagonal, its diagonal alone; ensemble, that of "
        "the members; identity, all cells alike (the nearest estimate). Only vjp draws from the conditional "
        "distribution",
    )
    passes: PositiveInt = Field(
        3, description="passes of Newton's method at a step before the last, for laws that are not linear"
    )

    def conditional(self) -> bool:
        return self.covariance == "vjp"

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return held.joint.known(context)

    def steer(self, state: Denoised, held: Held, known: Mapping[str, Tensor]) -> Tensor:
        from ..tweedie import Given, Saturated, Unreached, conditioned

        joint, last = held.joint, state.noise.last
        _, variance = joint.by_item(state.decode(state.estimate.detach()), known)
        try:
            return conditioned(
                Given.of(state),
                lambda estimate: joint.by_item(state.decode(estimate), known)[0],
                variance=variance,
                covariance=self.covariance,
                passes=AT_LAST if last else self.passes,
                tolerance=1e-14 if last else 0.0,
                last=last,
            )
        except Saturated as found:
            item = found.item
            why = "nothing small changes what it is about, as where rain is asked of an estimate that is dry everywhere"
        except Unreached as found:
            item = found.item
            why = f"a residual of {found.left:.3g} is left, which no estimate near it removes"
        laws = " and ".join(dict.fromkeys(law.name for law in joint.laws))
        raise RunError(
            f"{laws} cannot be held on {state.named(item)}: {why}",
            allowed="targets that an estimate can be moved to",
            advice="leave this sample out, ask for less, or hold the law at the output",
        )
