"""Rainformer as a learner."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd, prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator
from thalweg import HandshakeError, Signature

from ._frames import FrameLearner, frames, maps

if TYPE_CHECKING:
    from torch import nn


class Rainformer(FrameLearner):
    """Windows of attention beside convolutions, gated together, in a U with time as channels: all targets in one pass.

    `(sample, lead, y, x)` of one size, a multiple of the product of `factors` and of `window`. Raises `HandshakeError`
    otherwise.
    """

    cite: ClassVar[str] = "10.1109/LGRS.2022.3162882"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"width": 16, "factors": (4, 2), "heads": (2, 4), "head": 8, "window": 8}
    }
    example: ClassVar[Mapping[str, Any]] = {"width": 4, "factors": [1], "heads": [1], "head": 4, "window": 2}

    preset: Literal["", "small"] = Field("", description="name of a set of values for the other options; none if empty")
    width: PositiveInt = Field(96, description="channels of the first stage; each following one has twice those before")
    factors: tuple[PositiveInt, ...] = Field(
        (4, 2, 2, 2), min_length=1, description="factors by which the stages shrink the field, in cells"
    )
    heads: tuple[PositiveInt, ...] = Field((3, 6, 12, 24), description="number of attention heads of each stage")
    head: PositiveInt = Field(32, description="channels of an attention head")
    window: PositiveInt = Field(9, description="side of the windows of attention, in cells of their stage")
    unused: bool = Field(
        False,
        description="whether the weights are held, frozen, that the published code declares and never applies; "
        "published checkpoints have them",
    )

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if len(self.heads) != len(self.factors):
            raise ValueError(f"{len(self.heads)} `heads` for {len(self.factors)} `factors`: one of each per stage")
        # Above the first stage the channels of an image are spread over finer cells.
        above = [self.width * 2 ** max(number, 1) for number in range(len(self.factors))]
        above[-1] = self.width * 2 ** (len(self.factors) - 1)
        for number, factor in enumerate(self.factors):
            if above[number] % factor**2:
                raise ValueError(f"{above[number]} channels cannot be spread over {factor} x {factor} finer cells")
        return self

    def check(self, given: Signature) -> None:
        size = maps(given, taker=self.name)
        shrink = prod(self.factors)
        if any(each % (shrink * self.window) for each in size):
            coarse = gcd(*size) // shrink if gcd(*size) % shrink == 0 else 0
            fitting = [side for side in range(1, coarse + 1) if coarse % side == 0]
            raise HandshakeError(
                f"{self.name} cannot cut {size[0]} x {size[1]} cells into windows of {self.window} at every stage",
                allowed=f"a multiple of {shrink * self.window}"
                + (f"; windows of {', '.join(map(str, fitting))}" if fitting else ""),
                advice="change `window` or `factors`, or select another region in preprocess",
            )

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from .networks.rainformer import Rainformer as Network

        lengths, channels = frames(given, wanted)
        return Network(
            frames=lengths,
            size=maps(given, taker=self.name),
            channels=channels,
            width=self.width,
            factors=self.factors,
            heads=self.heads,
            head=self.head,
            window=self.window,
            unused=self.unused,
        )
