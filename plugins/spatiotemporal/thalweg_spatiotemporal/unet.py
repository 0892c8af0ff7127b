"""UNet as a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from thalweg import Signature

from ._frames import FrameLearner, frames, maps

if TYPE_CHECKING:
    from torch import nn


class UNet(FrameLearner):
    """A UNet with time as channels: all targets in one pass.

    Per width two convolutions with normalisation, then half the size. With `norm: batch`, as published, a batch cannot
    be cut: the plan refuses `accumulate` and `ranks`. `(sample, lead, y, x)` of any size,
    continued by its edge to a multiple of `2 ** len(widths)`. Raises `HandshakeError` for inputs that are not maps.
    """

    cite: ClassVar[str] = "10.1007/978-3-319-24574-4_28"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "enso": {"widths": (32, 64, 128)},
        "small": {"widths": (16, 32, 64), "centre": 128},
    }
    example: ClassVar[Mapping[str, Any]] = {"widths": [4], "centre": 8}

    preset: Literal["", "enso", "small"] = Field(
        "", description="name of a set of values for the other options; none if empty"
    )
    widths: tuple[PositiveInt, ...] = Field(
        (32, 64, 128, 256), min_length=1, description="channels of each level, from fine to coarse"
    )
    centre: PositiveInt = Field(1024, description="channels of the coarsest level")
    norm: Literal["batch", "group"] = Field(
        "batch",
        description="normalisation of channels: by mean and variance over a batch (BatchNorm), or over groups of "
        "channels of each sample (GroupNorm)",
    )

    def check(self, given: Signature) -> None:
        maps(given, taker=self.name)

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from .networks.unet import UNet as Network

        lengths, channels = frames(given, wanted)
        return Network(frames=lengths, channels=channels, widths=self.widths, centre=self.centre, norm=self.norm)
