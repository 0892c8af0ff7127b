"""PhyDNet as a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from ._frames import Odd
from ._recurrent import RecurrentLearner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .networks._recurrent import Recurrent

Sixteens = Annotated[int, Field(gt=0, multiple_of=16)]


class PhyDNet(RecurrentLearner):
    """A latent state that follows a learned partial differential equation, beside layers of convolutional LSTM.

    The moment loss pulls the filters of the equation to derivatives; `moment` is its weight. One draw decides whether a
    whole batch is fed the truth. `(sample, lead, y, x)` of any size; inputs and truth are the same variables. Raises
    `HandshakeError` otherwise.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2003.01460"
    together: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"width": 16, "residual": (32, 32), "kernel": 5, "teacher_steps": 500}
    }
    example: ClassVar[Mapping[str, Any]] = {"width": 16, "residual": [16], "kernel": 3}

    preset: Literal["", "small"] = Field("", description="name of a set of values for the other options; none if empty")
    width: Sixteens = Field(32, description="channels of the encoder and decoder, which normalise groups of 16")
    residual: tuple[Sixteens, ...] = Field(
        (128, 128, 64), min_length=1, description="channels of the LSTM's layers; the last is the latent width"
    )
    kernel: Odd = Field(7, description="side of the filters of the equation: derivatives up to order `kernel - 1`")
    moment: NonNegativeFloat = Field(1.0, description="weight of the moment loss")
    output: Literal["linear", "sigmoid"] = Field(
        "linear",
        description="last layer: linear, or a sigmoid, which keeps frames between 0 and 1 (with `scale: unit`)",
    )
    teacher_steps: Annotated[int, Field(gt=0)] = Field(
        15_000, description="steps of training in which the probability `teacher` falls to 0"
    )

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.from_last and self.output == "sigmoid":
            raise ValueError("`from_last` learns differences, which are not all between 0 and 1: set `output: linear`")
        return self

    def recurrent(self, *, steps: int, channels: int, size: tuple[int, int]) -> Recurrent:  # noqa: ARG002
        from .networks.phydnet import PhyDNet as Network

        return Network(
            steps=steps,
            channels=channels,
            width=self.width,
            residual=self.residual,
            kernel=self.kernel,
            output=self.output,
        )

    @property
    def own_objective(self) -> str:
        """Scheduled sampling and the moment loss, while there are any."""
        moment = "" if self.moment == 0 else f"the moment loss (`moment: {self.moment:g}`)"
        return " and ".join(filter(None, [super().own_objective, moment]))

    def penalty(self, network: nn.Module) -> Tensor | float:
        from .networks.phydnet import PhyDNet as Network

        assert isinstance(network, Network)
        return self.moment * network.moment_loss()
