"""What the four recurrent learners share: how they are built, and scheduled sampling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt
from thalweg import Signature, Site
from thalweg.learning import Layout

from ._frames import FrameLearner, Odd, maps, same_variables

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

    from_last: bool = Field(
        False,
        description="whether each frame is learned as its difference from the last one; the untrained network "
        "then persists",
    )
    teacher: float = Field(
        1.0,
        ge=0,
        le=1,
        description="scheduled sampling: probability at the first step that a frame of the truth is fed back, "
        "not the estimate",
    )
    teacher_steps: PositiveInt = Field(
        50_000, description="steps of training in which the probability `teacher` falls to 0"
    )

    @property
    def own_objective(self) -> str:
        """Scheduled sampling, while there is any."""
        return "" if self.teacher == 0 else f"scheduled sampling (`teacher: {self.teacher:g}`)"

    @property
    def sites(self) -> frozenset[Site]:  # type: ignore[override]
        """In an operator enforcer its network sees inputs only: then there is no teacher."""
        return frozenset({"loss"}) if self.own_objective else frozenset({"loss", "operator"})

    def check(self, given: Signature) -> None:
        maps(given, taker=self.name)

    @abstractmethod
    def recurrent(self, *, steps: int, channels: int, size: tuple[int, int]) -> Recurrent:
        """The network that makes `steps` frames of so many channels, rows and columns."""

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        same_variables(given, wanted, because=f"{self.name} feeds its frames to itself")
        network = self.recurrent(
            steps=wanted.sizes["lead"], channels=len(Layout.of(given).names), size=maps(given, taker=self.name)
        )
        if self.from_last:
            from torch.nn.init import zeros_

            for each in network.out.parameters():
                zeros_(each)
            network.from_last = True
        return network

    def objective(
        self,
        network: nn.Module,
        inputs: Tensor,
        truth: Tensor,
        *,
        step: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        noise: Mapping[str, Tensor],  # noqa: ARG002
    ) -> tuple[Tensor, Tensor] | None:
        from ._sampling import next_frames
        from .networks._recurrent import Recurrent

        # Inside another network, which takes inputs only, it has no teacher (`own_objective`).
        if not network.training or not isinstance(network, Recurrent):
            return None
        probability = self.teacher * max(0.0, 1 - step / self.teacher_steps)
        estimate, value = next_frames(
            network, inputs, truth, probability=probability, together=self.together, loss=loss
        )
        return estimate, value + self.penalty(network)

    def penalty(self, network: nn.Module) -> Tensor | float:  # noqa: ARG002
        """What is added to the loss for the weights themselves; nothing by default."""
        return 0.0


class LayeredLearner(RecurrentLearner):
    """Layers alike, on squares of cells."""

    hidden: PositiveInt = Field(128, description="channels of a layer")
    layers: PositiveInt = Field(4, description="recurrent layers, one above the other")
    kernel: Odd = Field(5, description="side of the convolutions, in patches")
    patch: PositiveInt = Field(4, description="side of the squares of cells that become channels of a patch, in cells")
