"""The cuboid transformer as a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from thalweg import HandshakeError, Signature
from thalweg.learning import Layout, TorchLearner

if TYPE_CHECKING:
    from torch import nn

Rate = Annotated[float, Field(ge=0, lt=1)]


class Earthformer(TorchLearner):
    """A transformer that attends within cuboids of space and time, in a hierarchy of levels.

    `(sample, lead, y, x)` of any length and size, of which one coarsest cell must fit; several variables are channels.
    A preset says all that the other options do not; sizes are those of the data. Raises `HandshakeError` for inputs
    that are no maps, or too small, and `OptionError` for options that do not fit together.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2207.05833"
    example: ClassVar[Mapping[str, Any]] = {"preset": "enso", "units": 16, "heads": 2, "dropout": 0.0}
    defaults: ClassVar[Mapping[str, Any]] = {"batch": 32, "learning_rate": 1e-3, "warm_up": 0.2}

    preset: Literal["sevir", "sevir-lr", "enso", "nbody", "small"] = Field(
        "enso", description="name of a published set of sizes; small: one that can be trained without a GPU"
    )
    family: Literal["paper", "checkpoint"] = Field(
        "checkpoint",
        description="source of the preset's sizes: the paper's tables, or the published configurations and checkpoints",
    )
    units: PositiveInt | None = Field(None, description="channels of the finest level; the preset's if null")
    depth: tuple[PositiveInt, ...] | None = Field(
        None, description="number of stacks of each level, finest first; the preset's if null"
    )
    heads: PositiveInt | None = Field(None, description="number of attention heads; the preset's if null")
    merge: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="cells along (y, x) that become one cell of the finest level; the preset's if null"
    )
    pattern: str | None = Field(
        None, description="cuboids of self-attention: axial, divided_st, video_swin_2x4, ...; the preset's if null"
    )
    cross_pattern: str | None = Field(
        None, description="columns of cross-attention: cross_1x1, cross_2x2_lg, ...; the preset's if null"
    )
    vectors: Annotated[int, Field(ge=0)] | None = Field(
        None, description="number of global vectors; the preset's if null"
    )
    positions: Literal["t+h+w", "t+hw"] | None = Field(
        None,
        description="embedding of positions: by time, height and width (t+h+w), or by time and cell (t+hw); the "
        "preset's if null",
    )
    padding: Literal["zeros", "ignore", "nearest"] | None = Field(
        None,
        description="padding of cuboids that reach beyond the field: zeros and nearest cells take part in "
        "attention, ignored ones do not; the preset's if null",
    )
    start: Literal["zeros", "nearest_interp", "last", "mean"] | None = Field(
        None,
        description="what the decoder begins with: positions only (zeros), or the encoder's coarsest memory "
        "(resized, its last step, or its mean); the preset's if null",
    )
    dropout: Rate | None = Field(
        None, description="dropout: share of the values that are dropped in training; the preset's if null"
    )
    checkpoint: bool = Field(
        False, description="gradient checkpointing: whether activations are computed twice in training, to save memory"
    )
    compat: bool = Field(
        False,
        description="whether the decoder's attention is cut to the inputs' length, as in the published code and "
        "checkpoints",
    )

    def check(self, given: Signature) -> None:
        from .tailored import tailored

        layout = Layout.of(given)
        if layout.dims[:1] != ("lead",) or len(layout.dims) != 3:
            raise HandshakeError(
                f"{self.name} is given {', '.join(layout.names)} along {layout.dims!r}",
                allowed="maps in time: (lead, y, x)",
                advice="cut the series with `windows`, and bring the fields onto a grid",
            )
        made = tailored(self, inputs=layout.shape, targets=layout.shape)
        for dim, size, least in zip(layout.dims, layout.sizes, made.coarsening, strict=True):
            if size < least:
                raise HandshakeError(
                    f"{self.name} is given {size} cells along {dim!r}",
                    allowed=f"at least {least}: that many become one cell of the coarsest level",
                    advice="choose fewer levels in `depth`, or a smaller `merge`",
                )

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from .model import CuboidTransformer
        from .tailored import tailored

        inputs, targets = Layout.of(given), Layout.of(wanted)
        if len(targets.sizes) != 3 or inputs.sizes[1:] != targets.sizes[1:]:
            raise HandshakeError(
                f"{self.name} is to make {targets.sizes!r} along {targets.dims!r} from {inputs.sizes!r}",
                allowed="targets along (lead, y, x), on the inputs' grid",
                advice="bring inputs and targets onto one grid in preprocess",
            )
        return CuboidTransformer(tailored(self, inputs=inputs.shape, targets=targets.shape))
