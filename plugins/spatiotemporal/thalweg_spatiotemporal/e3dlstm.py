"""E3D-LSTM as a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from ._frames import Odd
from ._recurrent import LayeredLearner
from .squared_and_absolute import SquaredAndAbsolute

if TYPE_CHECKING:
    from .networks._recurrent import Recurrent


class E3DLSTM(LayeredLearner):
    """Layers of LSTM that convolve in space and time and recall their last `tau` states by attention.

    By default the mean square plus the mean absolute error is minimised. `(sample, lead, y, x)`, continued by its edge
    to a multiple of `patch`; inputs and truth are the same variables. Raises `HandshakeError` otherwise. It has no DOI:
    ICLR 2019, openreview.net/forum?id=B1lKS2AqtX.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"loss": SquaredAndAbsolute()}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "enso": {"patch": 1},
        "small": {"hidden": 16, "layers": 2, "kernel": 3, "teacher_steps": 500},
    }
    example: ClassVar[Mapping[str, Any]] = {"hidden": 4, "layers": 2, "kernel": 3, "patch": 2}

    preset: Literal["", "enso", "small"] = Field(
        "", description="name of a set of values for the other options; none if empty"
    )
    hidden: PositiveInt = Field(64, description="channels of a layer")
    kernel: Odd = Field(5, description="side of the convolutions in space, in patches; in time they span 2 frames")
    window: PositiveInt = Field(2, description="number of frames that a layer convolves at once")
    tau: PositiveInt = Field(2, description="number of earlier states that a layer attends to")
    recall: Literal["states", "positions"] = Field(
        "states", description="one weight per remembered state, or one per state and position: much more memory"
    )

    def recurrent(self, *, steps: int, channels: int, size: tuple[int, int]) -> Recurrent:
        from .networks import e3dlstm as networks

        return networks.E3DLSTM(
            steps=steps,
            size=size,
            channels=channels,
            hidden=self.hidden,
            layers=self.layers,
            kernel=(2, self.kernel, self.kernel),
            tau=self.tau,
            window=self.window,
            patch=self.patch,
            over=self.recall,
        )
