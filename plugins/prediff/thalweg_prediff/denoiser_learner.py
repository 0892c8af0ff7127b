"""The second phase of PreDiff: a denoiser of latents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field
from thalweg import Signature

from .fit import Objective
from .latent_learner import OnLatents

if TYPE_CHECKING:
    from torch import Tensor, nn


class DenoiserLearner(OnLatents):
    r"""A U-Net of cuboid attention that denoises latents, beside those of the inputs.

    Of a sample it learns the mean square of what it is to give, at a level of noise that is drawn, weighed by a
    variance that is learned of each level: $e / \exp(v_t) + v_t$. Latents of the targets are drawn of their posterior,
    those of the inputs are its mode. The running mean of its weights (`ema`) is what is kept and drawn with. As a
    method by itself it gives the denoised estimate of pure noise, in latents. Missing cells of the truth are 0, scaled.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2307.10422"
    defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "ema": 0.999}

    learns: Objective = Field(
        "epsilon",
        description="what the network learns: the noise (epsilon), the latents (x0) or a velocity between them (v) of "
        "a diffusion, or the direction from noise to latents (flow)",
    )
    balanced: bool = Field(
        True, description="whether levels of noise are weighed by a variance that is learned of each, as published"
    )
    normalised: bool = Field(
        True,
        description="whether latents are brought to mean 0 and variance 1, by channel, as they are in the training "
        "samples; as published they are not",
    )

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from thalweg.learning import frozen

        from .denoiser import Denoiser
        from .latent_diffusion import LatentDiffusion
        from .latent_space import LatentSpace

        shapes = self.frames(given, wanted)
        space = LatentSpace(
            frozen(self.parts["autoencoder"]),
            shapes.latents[-1],
            way="flow" if self.learns == "flow" else "diffusion",
            turned=self.turned,
        )
        denoiser = Denoiser(shapes.context, shapes.latents, self.sizes().denoiser)
        return LatentDiffusion(space, denoiser, learns=self.learns, balanced=self.balanced)

    def prepare(self, network: nn.Module, examples: Iterable[tuple[Any, Tensor]], scales: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Statistics of the latents."""
        if self.normalised:
            network.space.measure(examples)  # type: ignore[operator, union-attr]

    def gives(self, given: Signature, truth: Signature) -> Signature:
        """Latents."""
        time, height, width, channels = self.frames(given, truth).latents
        return truth.replaced_by("latents", lead=time, row=height, column=width, latent=channels)

    def objective(
        self,
        network: Any,
        inputs: Any,
        truth: Tensor,
        *,
        step: int,  # noqa: ARG002
        loss: Callable[[Tensor, Tensor], Tensor],  # noqa: ARG002
        noise: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Denoised latents, and the loss."""
        estimate, value = network.learned(inputs, truth, noise)
        return estimate, value.mean()
