"""The first phase of PreDiff: frames to latents and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveInt
from thalweg import Signature
from thalweg.learning import Noise

from .latent_learner import LatentLearner

if TYPE_CHECKING:
    from thalweg.learning import Turn
    from torch import Tensor, nn


class AutoencoderLearner(LatentLearner):
    r"""A variational autoencoder of single frames: the latents in which PreDiff draws.

    Its loss, of a frame, is $\sum |x - \hat x| + \beta \, \mathrm{KL}(q(z | x) \Vert N(0, 1))$, over the cells that are
    there; with `adversarial`, and a critic's opinion of patches. It learns from inputs and targets of its samples. As
    a method by itself it gives the last input, through its latent, at every lead. Raises `HandshakeError` for fields
    that are no maps, `OptionError` for grids that cannot be halved so often.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2307.10422"
    defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    divergence: NonNegativeFloat = Field(
        1e-6, description="weight of the latents' divergence from a standard normal distribution"
    )
    at_once: PositiveInt = Field(2, description="frames of a sample, drawn at random, that a step learns from")
    adversarial: NonNegativeFloat = Field(0.0, description="weight of a critic of patches in the loss; none if 0")
    adversarial_after: int = Field(25_000, ge=0, description="step in which the critic begins")

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from .frame_network import FrameNetwork

        shapes = self.frames(given, wanted)
        architecture = replace(self.sizes().autoencoder, channels=shapes.inputs[-1])
        return FrameNetwork(architecture, leads=shapes.targets[0], divergence=self.divergence, turned=self.turned)

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        """Which frames, how they are turned, and the noise of their latents."""
        shapes = self.frames(given, wanted)
        total = shapes.inputs[0] + shapes.targets[0]
        _, height, width, channels = shapes.latents
        count = min(self.at_once, total)
        return {
            "order": Noise((total,), kind="uniform", only="learning"),
            "turn": Noise((3,), kind="uniform", only="learning"),
            "latents": Noise((count, channels, height, width), only="learning"),
        }

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
        """The frames that came back, and the loss."""
        found = network.learned(inputs, truth, noise)
        return found.made, found.loss

    def helpers(self, given: Signature, wanted: Signature) -> Mapping[str, nn.Module]:
        """The critic, if there is one."""
        if not self.adversarial:
            return {}
        from .discriminator import PatchCritic

        return {"critic": PatchCritic(self.frames(given, wanted).inputs[-1])}

    def turns(self, modules: nn.ModuleDict, usual: Turn) -> Sequence[Turn]:
        """The autoencoder's, and the critic's after some steps."""
        if not self.adversarial:
            return (usual,)
        from .adversarial import Convinces, Tells

        convinces = Convinces(usual.objective, modules, weight=self.adversarial, after=self.adversarial_after)
        tells = replace(
            usual, name="critic", objective=Tells(usual.objective, modules), learns=("critic",),
            after=self.adversarial_after,
        )  # fmt: skip
        return replace(usual, objective=convinces), tells
