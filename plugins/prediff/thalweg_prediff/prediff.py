"""PreDiff: members of a forecast, drawn in latents by a diffusion or a flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PositiveInt, model_validator
from thalweg import OptionError, Phase, Signature
from thalweg.learning import Noise, TrainOptions

from .fit import Objective, Sampler, sampler_of
from .latent_learner import TINY, OnLatents

if TYPE_CHECKING:
    from torch import nn

STEPS = 1000
"""Levels of noise of a diffusion."""


class PreDiff(OnLatents):
    r"""An ensemble forecast of maps, drawn in the latents of an autoencoder: the published PreDiff.

    Three trainings come before it, each used again where only later options change: an `autoencoder` of frames
    (`prediff-autoencoder`), a `denoiser` of latents that sees the latents of the inputs (`prediff-denoiser`), and, with
    `aligned`, an `alignment` network by which `knowledge-alignment` sees laws (`prediff-alignment`). The method itself
    learns nothing: `sampler`, `steps`, `members` and `together` change without a training. Members belong to their
    sample and number: member 3 is the same bits alone and among others, on one machine. Fields are
    `(sample, member, lead, y, x)`, float32. `preset: sevir-lr` has the released sizes (`family: paper`: the paper's);
    published are `learns: epsilon`, `sampler: ddpm`, `steps: 1000`, `normalised: false`. Raises `HandshakeError` for
    other fields than maps, `OptionError` for sizes that do not halve, or a sampler that does not fit the objective.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2307.10422"
    steered: ClassVar[bool] = True
    assembled: ClassVar[bool] = True
    trains_on: ClassVar[frozenset[str]] = frozenset(TrainOptions.model_fields) - {"judge", "loss", "initial"}
    example: ClassVar[Mapping[str, Any]] = {**TINY, "members": 2, "steps": 2}

    members: int = Field(8, ge=2, description="draws of each sample; the first ones are the same of any number")
    learns: Objective = Field(
        "epsilon",
        description="what the denoiser learns: the noise (epsilon), the latents (x0) or a velocity between them (v) of "
        "a diffusion, or the direction from noise to latents (flow)",
    )
    sampler: Sampler | None = Field(
        None,
        description="how members are drawn: ddim, ddpm or dpm-solver++ of a diffusion; euler or heun of a flow. The "
        "first of these if null",
    )
    steps: PositiveInt = Field(
        20, description="steps from noise to latents: evaluations of the denoiser, with heun two"
    )
    together: PositiveInt = Field(
        4, description="items, each a sample and member, that go through the denoiser at once: memory for speed"
    )
    balanced: bool = Field(
        True, description="whether levels of noise are weighed by a variance that is learned of each, as published"
    )
    normalised: bool = Field(
        True,
        description="whether latents are brought to mean 0 and variance 1, by channel, as they are in the training "
        "samples; as published they are not",
    )
    aligned: bool = Field(
        False, description="whether an alignment network is learned, by which `knowledge-alignment` sees laws"
    )
    alignment_train: dict[str, Any] | None = Field(
        None,
        description="what `train:` says where the alignment network is learned, in place of the recipe's own options; "
        "these if null",
    )

    @model_validator(mode="after")
    def _that_fits(self) -> Self:
        sampler_of(self.learns, self.sampler)
        if self.learns != "flow" and self.steps > STEPS:
            raise OptionError(
                f"`steps: {self.steps}` of a diffusion that has {STEPS}",
                allowed=f"1 to {STEPS}",
                advice="take fewer steps",
            )
        return self

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        """The autoencoder, the denoiser, and the alignment network if there is to be one."""
        from .alignment_learner import AlignmentLearner
        from .denoiser_learner import DenoiserLearner

        coded = self.coded(options)
        # So that each of them needs the very same autoencoder.
        shared = {
            "autoencoder_train": dict(coded.options),
            "adversarial": self.adversarial,
            "adversarial_after": self.adversarial_after,
            "normalised": self.normalised,
        }
        denoiser = self.own(DenoiserLearner, **shared, learns=self.learns, balanced=self.balanced)
        phases = [coded, Phase("denoiser", denoiser, options)]
        if self.aligned:
            way = "flow" if self.learns == "flow" else "diffusion"
            own = options if self.alignment_train is None else self.alignment_train
            phases.append(Phase("alignment", self.own(AlignmentLearner, **shared, way=way), own))
        return tuple(phases)

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """The truth's fields, with members."""
        return truth.with_members(self.members)

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        """The noise that a member begins with, and what that of its steps is made from."""
        from .latent_sampler import SEED

        latents = self.frames(given, wanted).latents
        return {
            "starts": Noise(latents, members=True, only="solving"),
            "seeds": Noise((SEED,), kind="uniform", members=True, only="solving"),
        }

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from thalweg.learning import frozen

        from .latent_sampler import Drawing, LatentSampler

        alignment = frozen(self.parts["alignment"]) if self.aligned else None
        drawing = Drawing(sampler_of(self.learns, self.sampler), self.steps, self.together, self.members)
        leads = self.frames(given, wanted).targets[0]
        return LatentSampler(frozen(self.parts["denoiser"]), alignment, drawing, leads=leads)
