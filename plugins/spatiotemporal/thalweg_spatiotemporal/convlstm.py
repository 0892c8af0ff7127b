"""ConvLSTM as a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ._recurrent import LayeredLearner

if TYPE_CHECKING:
    from .networks._recurrent import Recurrent


class ConvLSTM(LayeredLearner):
    """Layers of convolutional LSTM that feed their frames to themselves.

    `(sample, lead, y, x)` of any size, continued by its edge to a multiple of `patch`; inputs and truth are the same
    variables. Raises `HandshakeError` otherwise.
    """

    cite: ClassVar[str] = "10.48550/arXiv.1506.04214"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"hidden": 48, "layers": 2, "kernel": 3, "teacher_steps": 500}
    }
    example: ClassVar[Mapping[str, Any]] = {"hidden": 4, "layers": 2, "kernel": 3, "patch": 2}

    preset: Literal["", "small"] = Field("", description="name of a set of values for the other options; none if empty")
    unused: bool = Field(
        False,
        description="whether the weights are held, frozen, that OpenSTL's cell declares and never applies; "
        "published checkpoints have them",
    )

    def recurrent(self, *, steps: int, channels: int, size: tuple[int, int]) -> Recurrent:  # noqa: ARG002
        from .networks.convlstm import ConvLSTM as Network

        return Network(
            steps=steps,
            channels=channels,
            hidden=self.hidden,
            layers=self.layers,
            kernel=self.kernel,
            patch=self.patch,
            unused=self.unused,
        )
