"""PredRNN as a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from thalweg import Signature

from ._frames import Odd, maps
from ._recurrent import RecurrentLearner, channels

if TYPE_CHECKING:
    from torch import nn


class PredRNN(RecurrentLearner):
    """Layers of LSTM with a second memory that zigzags through all of them; they feed their frames to themselves.

    `(sample, lead, y, x)` of any size, continued by its edge to a multiple of `patch`; inputs and truth are the same
    variables. Raises `HandshakeError` otherwise.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2103.09504"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"hidden": 32, "layers": 2, "kernel": 3, "teacher_steps": 500}
    }
    example: ClassVar[Mapping[str, Any]] = {"hidden": 4, "layers": 2, "kernel": 3, "patch": 2}

    preset: Literal["", "small"] = ""
    hidden: PositiveInt = Field(128, description="channels of a layer")
    layers: PositiveInt = 4
    kernel: Odd = Field(5, description="side of the convolutions, in patches")
    patch: PositiveInt = Field(4, description="side of the squares of cells that become channels")

    def check(self, given: Signature) -> None:
        maps(given, taker=self.name)

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from .networks.predrnn import PredRNN as Network

        network = Network(
            steps=wanted.sizes["lead"],
            channels=channels(given, wanted, taker=self.name),
            hidden=self.hidden,
            layers=self.layers,
            kernel=self.kernel,
            patch=self.patch,
        )
        return self.started(network, network.out)
