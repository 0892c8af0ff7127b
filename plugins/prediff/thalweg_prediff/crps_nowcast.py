"""Members of a nowcast in one pass, learned by the score of the ensemble itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PositiveInt
from thalweg import Signature
from thalweg.learning import Noise
from thalweg.losses import FairCRPS

from ._nowcast import NowcastLearner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .nowcast_network import Shape

LEARNED = 2
"""Members of a sample while learning."""


class CRPSNowcast(NowcastLearner):
    r"""An ensemble nowcast in one pass: each member carried along its own motion, and changed by a network that is
    given noise.

    Member $k$ is $b_k + s N(\text{inputs}, b_k, \eta_k)$: $b_k$ the last input, carried along the motion of the inputs
    and a vector $\sigma \epsilon_k$ of its own; $\eta_k$ coarse fields of noise and a vector. It learns by the CRPS of
    two members, almost fair, from fields that are mirrored and turned; cheaper than `flow-nowcast`, and each cell's
    distribution is what it is asked for, not how cells belong together. Members belong to their sample and number:
    member 3 is the same bits alone and among others. Fields are `(sample, member, lead, y, x)`, float32. Raises
    `HandshakeError` for other fields than one of maps.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2412.15832"
    example: ClassVar[Mapping[str, Any]] = {**NowcastLearner.example, "noise_fields": 2, "noise_vector": 4}
    # 0.97 of the pairs' distance counts, of two members.
    defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 1.5e-3, "ema": 0.99, "loss": FairCRPS(share=0.94)}

    noise_fields: PositiveInt = Field(8, description="channels of noise, on a grid four times as coarse")
    noise_vector: PositiveInt = Field(64, description="numbers of noise that are the same everywhere in the field")

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        shape = self.shape(given, wanted)
        learning = {
            f"learned {name}": Noise((LEARNED, *own), only="learning") for name, own in self._own(shape).items()
        }
        solving = {name: Noise(own, members=True, only="solving") for name, own in self._own(shape).items()}
        return {**learning, "turn": Noise((3,), kind="uniform", only="learning"), **solving}

    def _own(self, shape: Shape) -> Mapping[str, tuple[int, ...]]:
        """Of each member."""
        coarse = (-(-shape.height // 4), -(-shape.width // 4))
        return {"motions": (2,), "fields": (self.noise_fields, *coarse), "vectors": (self.noise_vector,)}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from .noise_nowcast import NoiseNowcast

        return NoiseNowcast(
            self.shape(given, wanted),
            dry=self.dry is not None,
            units=self.units,
            blocks=self.blocks,
            fold=self.fold,
            fields=self.noise_fields,
            vector=self.noise_vector,
        )

    def objective(
        self,
        network: Any,
        inputs: Any,
        truth: Tensor,
        *,
        step: int,  # noqa: ARG002
        loss: Callable[[Tensor, Tensor], Tensor],
        noise: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Two members' fields, and their score where dry cells lie apart."""
        fields, members, wanted = network.learned(inputs, truth, _members(noise))
        return fields, loss(members, wanted)


def _members(noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The noise of the members that are learned from, by the names of those that are solved with."""
    return {name.removeprefix("learned "): each for name, each in noise.items()}
