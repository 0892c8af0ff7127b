"""The decoder: self-attention, and cross-attention to the encoder's memory, on ever finer levels."""

from __future__ import annotations

from functools import partial

from torch import nn

from .architecture import Architecture
from .position import PositionEmbedding
from .recompute import recomputed
from .shapes import Cells, Triple, Vectors
from .stack import CrossStack, SelfStack
from .upsample import Upsample


class CuboidDecoder(nn.Module):
    """From the coarsest level to the finest. What the encoder saw comes in by cross-attention only."""

    def __init__(self, architecture: Architecture, memories: list[Triple], *, steps: int) -> None:
        super().__init__()
        options, units, layers = architecture.decoder, architecture.level_units, architecture.layers
        self.options, self.compat, self.checkpoint = options, architecture.compat, architecture.checkpoint
        top = len(units) - 1
        self.self_blocks, self.cross_blocks = nn.ModuleList(), nn.ModuleList()
        for level, shape in enumerate(memories):
            count = options.depth[level] - (level == top and not options.first_self)
            self.self_blocks.append(
                nn.ModuleList(
                    SelfStack(
                        units[level],
                        pattern=options.self_patterns[level],
                        shape=self._pattern_shape(shape, steps),
                        layers=layers,
                        between=options.between,
                        with_vectors=options.self_vectors,
                        updated=options.updates and (options.cross_vectors or number < count - 1),
                    )
                    for number in range(count)
                )
            )
            if level >= options.cross_from:
                self.cross_blocks.append(
                    nn.ModuleList(
                        CrossStack(
                            units[level],
                            pattern=options.cross_patterns[level],
                            longest=memories[0][0] + steps,
                            layers=layers,
                            between=options.between,
                            with_vectors=options.cross_vectors,
                            last=options.last,
                        )
                        for _ in range(options.depth[level])
                    )
                )
        self.upsample_layers = nn.ModuleList(
            Upsample(units[level + 1], units[level], folded=architecture.folded) for level in range(top)
        )
        self.hierarchical_pos_embed_l: nn.ModuleList | None = None
        if options.positions:
            self.hierarchical_pos_embed_l = nn.ModuleList(
                PositionEmbedding(units[level], shape=(steps, *memories[level][1:]), kind=architecture.positions)
                for level in range(top)
            )

    def forward(self, x: Cells, memory: list[Cells], vectors: list[Vectors | None]) -> Cells:
        for level in reversed(range(len(memory))):
            x = self._level(x, level, memory=memory[level], vectors=vectors[level])
            if level:
                below = memory[level - 1].shape
                x = self.upsample_layers[level - 1](x, (below[2], below[3]))
                if self.hierarchical_pos_embed_l is not None:
                    x = self.hierarchical_pos_embed_l[level - 1](x)
        return x

    def _level(self, x: Cells, level: int, *, memory: Cells, vectors: Vectors | None) -> Cells:
        selves = list(self.self_blocks[level])  # type: ignore[call-overload]
        crosses = list(self.cross_blocks[level - self.options.cross_from]) if level >= self.options.cross_from else []  # type: ignore[call-overload]
        if len(selves) < self.options.depth[level]:
            x = self._cross(crosses.pop(0), x, memory, vectors)
        shape = (memory.shape[1], x.shape[2], x.shape[3])
        for number, stack in enumerate(selves):
            attend = partial(stack, shape=self._pattern_shape(shape, x.shape[1]))
            x, updated = recomputed(attend, x, vectors if self.options.self_vectors else None, when=self.checkpoint)
            if self.options.self_vectors and self.options.updates:
                vectors = updated
            if crosses:
                x = self._cross(crosses[number], x, memory, vectors)
        return x

    def _cross(self, stack: nn.Module, x: Cells, memory: Cells, vectors: Vectors | None) -> Cells:
        vectors = vectors if self.options.cross_vectors else None
        return recomputed(stack, x, memory, vectors, when=self.checkpoint)  # type: ignore[no-any-return]

    def _pattern_shape(self, memory: Triple, steps: int) -> Triple:
        return (memory[0] if self.compat else max(memory[0], steps), memory[1], memory[2])
