"""Stacks of attention and feed-forward layers: one of each per cuboid of a pattern."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from torch import nn

from .cross_attention import CuboidCrossAttention
from .cuboids import Padding, Plan
from .feed_forward import FeedForward
from .latest import Latest
from .patterns import CrossPattern, SelfPattern, cross_columns, self_cuboids
from .plans import plan
from .self_attention import CuboidSelfAttention, GlobalVectors
from .shapes import Cells, Triple, Vectors


@dataclass(frozen=True)
class Dropout:
    """Rates of dropout: of the probabilities of attention, of its projection, and inside and after feed-forward."""

    attention: float = 0.1
    projection: float = 0.1
    feed_forward: float = 0.1


@dataclass(frozen=True)
class Layers:
    """What the layers of all stacks have in common."""

    heads: int = 4
    padding: Padding = "zeros"
    relative: bool = True
    """Whether scores get a bias by relative position."""
    projected: bool = True
    """Whether self-attention ends in a projection."""
    activation: str = "gelu"
    gated: bool = False
    dropout: Dropout = field(default_factory=Dropout)
    vectors: GlobalVectors = field(default_factory=GlobalVectors)

    def feed_forward(self, channels: int) -> FeedForward:
        return FeedForward(channels, activation=self.activation, gated=self.gated, dropout=self.dropout.feed_forward)


class SelfStack(nn.Module):
    """Self-attention over a pattern of cuboids, each followed by a feed-forward network, or all by one.

    The pattern is that of `shape` for a field of that shape; a field of another shape gets its own, and biases reach as
    far as the table made for `shape`.
    """

    def __init__(
        self,
        channels: int,
        *,
        pattern: SelfPattern,
        shape: Triple,
        layers: Layers,
        between: bool = True,
        with_vectors: bool = True,
        updated: bool = True,
    ) -> None:
        super().__init__()
        self.updated = updated
        self._layouts = Latest(partial(_layouts, pattern=pattern, padding=layers.padding))
        vectors = layers.vectors if with_vectors and layers.vectors.count else None
        cuboids = self_cuboids(pattern, shape)
        self.attn_l = nn.ModuleList(
            CuboidSelfAttention(
                channels,
                layers.heads,
                cuboid=cuboid,
                padding=layers.padding,
                relative=layers.relative,
                projected=layers.projected,
                attention_dropout=layers.dropout.attention,
                projection_dropout=layers.dropout.projection,
                vectors=vectors,
                updated=updated or number < len(cuboids) - 1,
            )
            for number, cuboid in enumerate(cuboids)
        )
        count = len(cuboids) if between else 1
        self.ffn_l = nn.ModuleList(layers.feed_forward(channels) for _ in range(count))
        self.global_ffn_l: nn.ModuleList | None = None
        if vectors and vectors.feed_forward:
            self.global_ffn_l = nn.ModuleList(layers.feed_forward(channels * vectors.widening) for _ in range(count))

    def unused_parameters(self) -> list[nn.Parameter]:
        """Parameters that only the vectors after the last layer use, if those are not `updated`."""
        return list(self.global_ffn_l[-1].parameters()) if self.global_ffn_l and not self.updated else []

    def forward(
        self, x: Cells, vectors: Vectors | None = None, *, shape: Triple | None = None
    ) -> tuple[Cells, Vectors | None]:
        """The cells and the vectors after all layers; `shape` is what the pattern is for, that of `x` if not given."""
        own = (x.shape[1], x.shape[2], x.shape[3])
        layouts = self._layouts(own, shape or own)
        last = len(self.attn_l) - 1
        for number, (attention, layout) in enumerate(zip(self.attn_l, layouts, strict=True)):
            added, update = attention(x, vectors, layout=layout)
            x = x + added
            if update is not None and vectors is not None:
                vectors = vectors + update
            if len(self.ffn_l) > 1 or number == last:
                place = number if len(self.ffn_l) > 1 else 0
                x = self.ffn_l[place](x)
                if vectors is not None and self.global_ffn_l is not None and (self.updated or number < last):
                    vectors = self.global_ffn_l[place](vectors)
        return x, vectors


def _layouts(own: Triple, shape: Triple, *, pattern: SelfPattern, padding: Padding) -> tuple[Plan, ...]:
    return tuple(plan(own, cuboid, padding) for cuboid in self_cuboids(pattern, shape))


class CrossStack(nn.Module):
    """Cross-attention over a pattern of columns, each followed by a feed-forward network, or all by one."""

    def __init__(
        self,
        channels: int,
        *,
        pattern: CrossPattern,
        longest: int,
        layers: Layers,
        between: bool = True,
        with_vectors: bool = False,
        last: int | None = None,
    ) -> None:
        super().__init__()
        columns = cross_columns(pattern)
        self.attn_l = nn.ModuleList(
            CuboidCrossAttention(
                channels,
                layers.heads,
                column=column,
                longest=longest,
                padding=layers.padding,
                relative=layers.relative,
                attention_dropout=layers.dropout.attention,
                projection_dropout=layers.dropout.projection,
                vectors=layers.vectors if with_vectors else None,
                last=last,
            )
            for column in columns
        )
        self.ffn_l = nn.ModuleList(layers.feed_forward(channels) for _ in (columns if between else columns[:1]))

    def forward(self, x: Cells, memory: Cells, vectors: Vectors | None = None) -> Cells:
        last = len(self.attn_l) - 1
        for number, attention in enumerate(self.attn_l):
            x = x + attention(x, memory, vectors)
            if len(self.ffn_l) > 1 or number == last:
                x = self.ffn_l[number if len(self.ffn_l) > 1 else 0](x)
        return x
