"""Laws nearly held while sampling, by the gradient of how much they are broken: as PreDiff has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import xarray as xr
from pydantic import Field, PositiveFloat
from thalweg import Denoised, DifferentiableLaw, Held, Law, LinearLaw, OptionError, SamplingEnforcer

if TYPE_CHECKING:
    import torch


class KnowledgeAlignment(SamplingEnforcer):
    r"""The next state, moved down the gradient of each member's own norm of residuals; laws then nearly hold.

    $z' \leftarrow z' - g(\sigma) \, \lambda \, N \nabla_z \lVert h \rVert$, with $\sigma$ the standard deviation of
    $p(z' | z, x)$, also of a sampler that adds no noise; $g(\sigma)$ is $\sigma$ as in the published code (`std`), or
    $\sigma^2$ as in the paper (`variance`); N the covariance of the sampler's noise, the identity in the paper. $h$ is
    seen through the alignment network of a method that learned one, which tells the means of frames, for laws of these
    means alone; else through the denoised estimate and its decoder, for any law with a gradient. The norm is of a
    member's residuals, in units; published is one norm of the whole batch, so that a member's draw depends on how many
    others there are. The move does not vanish near the law: it ends about it, and `weight` belongs to one law, gain and
    number of steps; `conditioned-sampling` has none. The noise of a law is not used. Raises `OptionError` for
    `through: network` where there is none, or under a law of more than the means of frames, `RunError` for a gradient
    that is not finite.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2307.10422"
    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw, DifferentiableLaw)
    exact: ClassVar[bool] = False

    weight: PositiveFloat = Field(
        50.0,
        description="how far a step moves down the gradient; 50 as published, for means between 0 and 1. Choose it on "
        "a validation period, for a law and a number of steps",
    )
    gain: Literal["std", "variance"] = Field(
        "std",
        description="what it is multiplied by: the standard deviation of the next state (std, the published code), or "
        "its square (variance, the paper)",
    )
    through: Literal["network", "fields"] | None = Field(
        None,
        description="how laws are seen: by the alignment network (network), or through the denoised estimate (fields). "
        "If null, by the network where there is one and the laws are of the means of frames",
    )

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return held.known(context)

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        from .guidance import gradient_of

        noise, estimate = state.noise, state.estimate.detach()
        if noise.deviation == 0.0:
            return estimate
        gradient = gradient_of(state, held, known, network=self._by_network(state, held, known))
        amount = noise.deviation if self.gain == "std" else noise.deviation**2
        return estimate - self.weight * amount / noise.gain * noise.times(gradient)

    def _by_network(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> bool:
        from .guidance import is_of_means

        if self.through == "fields":
            return False
        if state.aligned is not None and is_of_means(state, held, known):
            return True
        if self.through is None:
            return False
        laws = " and ".join(dict.fromkeys(law.name for law in held.laws))
        why = "no alignment network was learned" if state.aligned is None else f"{laws} is of more than means of frames"
        raise OptionError(
            f"`through: network`, and {why}",
            allowed="fields, or null",
            advice="leave `through` out, or learn with `aligned: true` and hold a law of the mean of each frame",
        )
