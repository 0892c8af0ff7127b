"""What a cuboid transformer is built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from thalweg import OptionError

from .activations import ACTIVATIONS
from .patterns import CrossPattern, SelfPattern, cross_columns, self_cuboids
from .position import Kind
from .shapes import Triple
from .stack import Layers
from .stem import Stem

Shape = tuple[int, int, int, int]

Start = Literal["zeros", "nearest_interp", "last", "mean"]


@dataclass(frozen=True)
class Encoder:
    """The levels of the encoder, finest first."""

    depth: tuple[int, ...] = (1, 1)
    """Stacks of each level."""
    patterns: tuple[SelfPattern, ...] = ("axial", "axial")
    between: bool = True
    """Whether a feed-forward network follows every attention, or one follows all of a stack."""


@dataclass(frozen=True)
class Decoder:
    """The levels of the decoder, finest first; as many as the encoder's."""

    depth: tuple[int, ...] = (1, 1)
    self_patterns: tuple[SelfPattern, ...] = ("axial", "axial")
    cross_patterns: tuple[CrossPattern, ...] = ("cross_1x1", "cross_1x1")
    between: bool = True
    first_self: bool = False
    """Whether the coarsest level begins with self-attention, not with cross-attention."""
    self_vectors: bool = False
    """Whether self-attention uses the encoder's global vectors of its level, and `updates` them."""
    updates: bool = True
    cross_vectors: bool = False
    cross_from: int = 0
    """The finest level that has cross-attention."""
    last: int | None = None
    """Cross-attention sees these last steps only; all if None."""
    positions: bool = False
    """Whether every level gets an embedding of position, or the coarsest only."""
    start: Start = "zeros"
    """What decoding begins with: nothing but positions, or the coarsest memory resized, its last step, or its mean."""


@dataclass(frozen=True)
class Initialisation:
    """Kaiming normal of linear maps: "0" by fan in, gain 1; "1" by fan out, for leaky ReLU."""

    attention: Literal["0", "1"] = "0"
    feed_forward: Literal["0", "1"] = "0"
    resizing: Literal["0", "1"] = "0"


@dataclass(frozen=True)
class Architecture:
    """All options of a `CuboidTransformer`. Raises `OptionError` for those that do not fit together.

    Shapes are (time, height, width, channel). A module takes other times, heights and widths than these, but not other
    channels.
    """

    input_shape: Shape
    target_shape: Shape
    units: int = 64
    """Channels of the finest level."""
    growth: float = 1.0
    """Channels grow by `max(downsample) ** growth` per level."""
    downsample: Triple = (1, 2, 2)
    stem: Stem = field(default_factory=Stem)
    layers: Layers = field(default_factory=Layers)
    encoder: Encoder = field(default_factory=Encoder)
    decoder: Decoder = field(default_factory=Decoder)
    positions: Kind = "t+h+w"
    initialisation: Initialisation = field(default_factory=Initialisation)
    checkpoint: bool = False
    """Whether training keeps only what goes into each stack and convolution block, and computes the rest twice."""
    folded: bool = True
    """Whether upsampling is folded into the convolution after it: the same values to rounding, for fewer operations."""
    compat: bool = False
    """Whether the decoder's self-attention is cut for the *input's* length, as in the published implementation.

    Then of 14 targets after 12 inputs, the last two see only each other, and zeros. Needed for its checkpoints.
    """

    def __post_init__(self) -> None:
        encoder, decoder, layers = self.encoder, self.decoder, self.layers
        levels = len(encoder.depth)
        numbers = [
            len(each) for each in (encoder.patterns, decoder.depth, decoder.self_patterns, decoder.cross_patterns)
        ]
        _must(
            levels > 0 and {*numbers} == {levels} and min(*encoder.depth, *decoder.depth) > 0,
            f"depths {encoder.depth!r} and {decoder.depth!r} with {', '.join(map(str, numbers))} levels",
            "as many depths, of at least 1, as patterns of each kind",
            "give one of each per level, finest first",
        )
        _must(
            self.input_shape[1:3] == self.target_shape[1:3] and min(*self.input_shape, *self.target_shape) > 0,
            f"inputs {self.input_shape!r} and targets {self.target_shape!r}",
            "(time, height, width, channel), with one height and width",
            "bring both on one grid",
        )
        _must(
            all(units % layers.heads == 0 for units in self.level_units),
            f"{layers.heads} heads with {self.level_units!r} units",
            "units of every level that the heads divide",
            "change heads or units",
        )
        _must(
            self.stem.kind == "conv" or self.stem.channels[-1] == self.units,
            f"a stem that ends in {self.stem.channels!r} channels with {self.units!r} units",
            "a last number of channels that is that of the units",
            "change either",
        )
        for channels in self.stem.channels or (self.units,):
            groups = self.stem.groups(channels)
            _must(
                channels % groups == 0,
                f"convolutions of {channels!r} channels, normalised in {groups} groups",
                f"a multiple of {groups} channels",
                "change the units, or the channels of the stem",
            )
        _must(
            layers.activation in ACTIVATIONS,
            f"activation {layers.activation!r}",
            ", ".join(ACTIVATIONS),
            "choose one of these",
        )
        _must(
            layers.vectors.separate or layers.vectors.widening == 1,
            f"global vectors {layers.vectors.widening!r} times as wide as cells, with shared projections",
            "wider vectors only with projections of their own",
            "set separate, or widening to 1",
        )
        _must(
            decoder.cross_from < levels,
            f"cross-attention from level {decoder.cross_from!r} of {levels}",
            "a coarsest level with cross-attention, without which nothing of the input is seen",
            "lower cross_from",
        )
        for self_pattern in (*encoder.patterns, *decoder.self_patterns):
            self_cuboids(self_pattern, (1, 1, 1))
        for cross_pattern in decoder.cross_patterns:
            cross_columns(cross_pattern)

    @property
    def level_units(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(
            self.units * int((max(self.downsample) ** self.growth) ** level) for level in range(len(self.encoder.depth))
        )

    @property
    def coarsening(self) -> Triple:
        """Cells of the field in one of the coarsest level."""
        found = [1, 1, 1]
        for scale in (*self.stem.scales, *(self.downsample,) * (len(self.encoder.depth) - 1)):
            found = [cells * by for cells, by in zip(found, scale, strict=True)]
        return found[0], found[1], found[2]

    def memories(self, shape: Triple) -> list[Triple]:
        """Shapes of the levels, for an input of that shape."""
        found = [self.stem.shapes(shape)[-1]]
        for _ in self.encoder.depth[1:]:
            t, h, w = (-(-cells // by) for cells, by in zip(found[-1], self.downsample, strict=True))
            found.append((t, h, w))
        return found


def _must(holds: bool, given: str, allowed: str, advice: str) -> None:
    if not holds:
        raise OptionError(given, allowed=allowed, advice=advice)
