"""What the four recurrent learners share: scheduled sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt
from thalweg import Signature
from thalweg.learning import Layout

from ._frames import FrameLearner, same_variables

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .networks._recurrent import Recurrent


class RecurrentLearner(FrameLearner):
    r"""A network that goes on from its own frames; while it learns, some of them are replaced by the truth.

    A frame is replaced with probability $p_0 \max(0, 1 - n/N)$ at step n. The next frame is learned from every frame
    but the last, inputs too. Missing truth is fed as 0, as missing inputs are.
    """

    together: ClassVar[bool] = False
    """Whether one draw decides for a whole batch, not one for each sample and frame."""

    from_last: bool = Field(False, description="learn the difference of each frame from the last, at first none")
    teacher: float = Field(1.0, ge=0, le=1, description="probability at first that the truth is fed, not the estimate")
    teacher_steps: PositiveInt = Field(50_000, description="steps in which it falls to 0")

    def objective(
        self, network: nn.Module, inputs: Tensor, truth: Tensor, *, step: int
    ) -> tuple[Tensor, Tensor] | None:
        from ._sampling import next_frames
        from .networks._recurrent import Recurrent

        # Under an operator enforcer it is inside another network, which takes inputs only: it has no teacher.
        if not network.training or not isinstance(network, Recurrent):
            return None
        probability = self.teacher * max(0.0, 1 - step / self.teacher_steps)
        estimate, loss = next_frames(
            network, inputs, truth, probability=probability, together=self.together, loss=self.loss
        )
        return estimate, loss + self.penalty(network)

    def started(self, network: Recurrent, head: nn.Module) -> Recurrent:
        """The network, which begins `from_last` if so wanted; `head` is its last layer."""
        if self.from_last:
            from thalweg.learning import zeroed

            zeroed(head)
            network.from_last = True
        return network

    def penalty(self, network: nn.Module) -> Tensor | float:  # noqa: ARG002
        """What is added to the loss for the weights themselves; nothing by default."""
        return 0.0


def channels(given: Signature, wanted: Signature, *, taker: str) -> int:
    """The channels of a frame. Raises `HandshakeError` where the frames that are made are not those that are fed."""
    same_variables(given, wanted, because=f"{taker} feeds its frames to itself")
    return len(Layout.of(given).names)
