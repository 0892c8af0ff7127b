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
        "enso", description="a published size; small: one that a processor trains"
    )
    family: Literal["paper", "checkpoint"] = Field(
        "checkpoint", description="sizes of the paper's tables, or of the published configurations and checkpoints"
    )
    units: PositiveInt | None = Field(None, description="channels of the finest level")
    depth: tuple[PositiveInt, ...] | None = Field(None, description="stacks of each level, finest first")
    heads: PositiveInt | None = Field(None, description="heads of attention; the preset's if none")
    merge: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="cells (y, x) that are one cell of the finest level"
    )
    pattern: str | None = Field(None, description="cuboids of self-attention: axial, divided_st, video_swin_2x4, ...")
    cross_pattern: str | None = Field(None, description="columns of cross-attention: cross_1x1, cross_2x2_lg, ...")
    vectors: Annotated[int, Field(ge=0)] | None = Field(None, description="global vectors")
    positions: Literal["t+h+w", "t+hw"] | None = Field(
        None, description="embedding of positions: by time, height and width, or by time and cell; the preset's if none"
    )
    padding: Literal["zeros", "ignore", "nearest"] | None = Field(
        None, description="of cuboids that reach beyond the field: zeros take part, ignored cells do not"
    )
    start: Literal["zeros", "nearest_interp", "last", "mean"] | None = Field(
        None, description="what decoding begins with: positions only, or the coarsest memory"
    )
    dropout: Rate | None = Field(
        None, description="share of the values that are dropped while it learns; the preset's if none"
    )
    from_last: bool = Field(False, description="learn the difference from the last frame, which is none at first")
    checkpoint: bool = Field(False, description="keep less while learning, and compute it twice")
    compat: bool = Field(
        False,
        description="cut the decoder's attention for the inputs' length, as the published code and its checkpoints do",
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
        from thalweg.learning import FromLast

        from .model import CuboidTransformer
        from .tailored import tailored

        inputs, targets = Layout.of(given), Layout.of(wanted)
        if len(targets.sizes) != 3 or inputs.sizes[1:] != targets.sizes[1:]:
            raise HandshakeError(
                f"{self.name} is to make {targets.sizes!r} along {targets.dims!r} from {inputs.sizes!r}",
                allowed="targets along (lead, y, x), on the inputs' grid",
                advice="bring inputs and targets onto one grid in preprocess",
            )
        network = CuboidTransformer(tailored(self, inputs=inputs.shape, targets=targets.shape))
        if not self.from_last:
            return network
        if inputs.names != targets.names:
            raise HandshakeError(
                f"{self.name} with `from_last` is to make {', '.join(targets.names)} from {', '.join(inputs.names)}",
                allowed="the same variables as inputs and truth",
                advice="leave `from_last` out, or the other variables in `windows`",
            )
        return FromLast(network, network.dec_final_proj)
