"""Members of a nowcast, drawn by a flow or a diffusion of what an advected forecast leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PositiveInt, model_validator
from thalweg import Signature
from thalweg.learning import Noise

from ._nowcast import NowcastLearner
from .fit import Objective, Sampler, sampler_of

if TYPE_CHECKING:
    from torch import Tensor, nn


class FlowNowcast(NowcastLearner):
    r"""An ensemble nowcast: each member carried along its own motion, its residual drawn from noise in a few steps.

    Member $k$ is $b_k + s r_k$: $b_k$ the last input, carried along the motion of the inputs and a vector
    $\sigma \epsilon_k$ of its own, $\epsilon_k \sim N(0, I)$; $r_k$ drawn from noise that has the residuals' spectrum
    between waves and leads, by a small U-Net that sees the inputs, $b_k$ and how noisy its state is. A `flow`
    is preconditioned: $\hat x = \frac{t}{D} z + \frac{1 - t}{\sqrt D} N(z / \sqrt D, t)$, $D = t^2 + (1 - t)^2$.
    It learns from fields that are mirrored and turned. Laws are held while it samples. Members belong to their sample
    and number: member 3 is the same bits alone and among others. `ddpm` holds the noise of all its steps in memory.
    Fields are `(sample, member, lead, y, x)`, float32. Raises `HandshakeError` for other fields than one of maps,
    `OptionError` for a sampler that does not fit the objective.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2210.02747 10.48550/arXiv.2403.03206"
    steered: ClassVar[bool] = True
    own_loss: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = {**NowcastLearner.example, "steps": 2}
    defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 1.5e-3, "ema": 0.99}

    learns: Objective = Field(
        "flow",
        description="what the network learns: the direction from noise to field (flow), or, of a diffusion, the noise "
        "(epsilon), the field (x0) or a velocity between them (v)",
    )
    sampler: Sampler | None = Field(
        None,
        description="how members are drawn: euler or heun of a flow; ddim, ddpm or dpm-solver++ of a diffusion. The "
        "first of these if null",
    )
    steps: PositiveInt = Field(6, description="steps from noise to a member: evaluations of the network, with heun two")

    @model_validator(mode="after")
    def _that_fits(self) -> Self:
        sampler_of(self.learns, self.sampler)
        return self

    @property
    def chosen(self) -> Sampler:
        """The sampler."""
        return sampler_of(self.learns, self.sampler)

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        shape = self.shape(given, wanted)
        field = (shape.leads, shape.height, shape.width)
        learning = {
            "motion": Noise((2,), only="learning"),
            "noise": Noise(field, only="learning"),
            "share": Noise(kind="normal" if self.learns == "flow" else "uniform", only="learning"),
            "turn": Noise((3,), kind="uniform", only="learning"),
        }
        solving = {**self.motions(), "starts": Noise(field, members=True, only="solving")}
        if self.chosen == "ddpm" and self.steps > 1:
            solving["steps"] = Noise((self.steps - 1, *field), members=True, only="solving")
        return {**learning, **solving}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from .residual_flow import Drawing, ResidualFlow

        return ResidualFlow(
            self.shape(given, wanted),
            Drawing(self.learns, self.chosen, self.steps),
            dry=self.dry is not None,
            units=self.units,
            blocks=self.blocks,
            fold=self.fold,
        )

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
        """The fields of the denoised estimates, and the mean square of what the network was to give."""
        fields, value = network.learned(inputs, truth, noise)
        return fields, value.mean()
