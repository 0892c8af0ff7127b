"""A regression of all targets on all inputs through a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveInt, field_validator
from thalweg import Learner, Named, OptionError, Signature, shake
from thalweg.learning import Layout, TorchLearner

if TYPE_CHECKING:
    from torch import nn


class ReducedRank(TorchLearner):
    r"""A linear map of low rank from all inputs to all targets, learned by gradient descent that stops early.

    $\hat y = B (A\,\mathrm{dropout}(x + \epsilon) + a) + b$ with `rank` rows in $A$, on scaled fields: every cell,
    input and variable is seen at once, and what is learned first are the directions that explain most. $\epsilon$ is
    noise, while it learns only. With `plus`, a network's estimate is added, times a gain that starts at 0: what it
    learns is what the linear map leaves. Raises `OptionError` for a `plus` that is no network.
    """

    cite: ClassVar[str] = "10.1016/0047-259X(75)90042-1"
    defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 6,
        "batch": 32,
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "ema": 0.99,
        "choose": "last",
    }

    rank: PositiveInt = Field(32, description="rank of the linear map")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.3, description="dropout: share of the inputs that are dropped in training"
    )
    noise: NonNegativeFloat = Field(
        1.0,
        description="standard deviation of the noise added to the inputs in training, in standard deviations of "
        "the inputs",
    )
    plus: Named[Learner] | None = Field(None, description="a network for what is not linear: {unet: {widths: [8, 16]}}")

    @field_validator("plus")
    @classmethod
    def _network(cls, plus: Learner | None) -> Learner | None:
        if plus is None or isinstance(plus, TorchLearner):
            return plus
        raise OptionError(
            f"{plus.name} is no network",
            allowed="a learner that builds one: earthformer, unet, ...",
            advice="leave `plus` out",
        )

    def check(self, given: Signature) -> None:
        Layout.of(given)
        if self.plus is not None:
            shake(given, self.plus.needs(), giver="preprocess", taker=self.plus.name)
            self.plus.check(given)

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from ._reduced_rank_network import ReducedRankNetwork

        targets = Layout.of(wanted).shape
        return ReducedRankNetwork(
            prod(Layout.of(given).shape),
            targets,
            rank=self.rank,
            dropout=self.dropout,
            noise=self.noise,
            plus=self.plus.build(given, wanted) if isinstance(self.plus, TorchLearner) else None,
        )
