"""The third phase of PreDiff: a network that laws are seen by while sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from thalweg import Signature

from .latent_learner import OnLatents

if TYPE_CHECKING:
    from torch import Tensor, nn


class AlignmentLearner(OnLatents):
    """A network that tells the mean of each frame from its noisy latents, at any level of noise.

    It sees neither the inputs nor the denoiser, and is learned from the truth alone: the mean square of its errors. By
    its gradient `knowledge-alignment` moves what is drawn. As a method by itself it says what pure noise says.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2307.10422"
    defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}

    way: Literal["diffusion", "flow"] = Field("diffusion", description="how noise is added: as the denoiser has it")
    normalised: bool = Field(
        True, description="whether latents are brought to mean 0 and variance 1, as the denoiser has them"
    )

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from thalweg.learning import frozen

        from .alignment import Alignment
        from .latent_alignment import LatentAlignment
        from .latent_space import LatentSpace

        shapes = self.frames(given, wanted)
        space = LatentSpace(frozen(self.parts["autoencoder"]), shapes.latents[-1], way=self.way, turned=self.turned)
        return LatentAlignment(space, Alignment(shapes.latents, self.sizes().alignment, out=shapes.targets[-1]))

    def prepare(self, network: nn.Module, examples: Iterable[tuple[Any, Tensor]], scales: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Statistics of the latents."""
        if self.normalised:
            network.space.measure(examples)  # type: ignore[operator, union-attr]

    def gives(self, given: Signature, truth: Signature) -> Signature:
        """A mean of each frame and variable."""
        shapes = self.frames(given, truth)
        return truth.replaced_by("means", lead=shapes.targets[0], variable=shapes.targets[-1])

    def objective(
        self,
        network: Any,
        inputs: Any,  # noqa: ARG002
        truth: Tensor,
        *,
        step: int,  # noqa: ARG002
        loss: Callable[[Tensor, Tensor], Tensor],  # noqa: ARG002
        noise: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """The means, and the loss."""
        found, value = network.learned(truth, noise)
        return found, value.mean()
