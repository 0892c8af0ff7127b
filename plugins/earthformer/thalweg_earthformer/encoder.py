"""The encoder: stacks of self-attention on ever coarser levels."""

from __future__ import annotations

from torch import nn

from .architecture import Architecture
from .patch_merge import PatchMerging
from .recompute import recomputed
from .shapes import Cells, Triple, Vectors
from .stack import SelfStack


class CuboidEncoder(nn.Module):
    """Gives the cells, and the global vectors, of every level."""

    def __init__(self, architecture: Architecture, shapes: list[Triple]) -> None:
        super().__init__()
        self.checkpoint = architecture.checkpoint
        units, layers, options = architecture.level_units, architecture.layers, architecture.encoder
        vectors, decoder = layers.vectors, architecture.decoder
        self.down_layers = nn.ModuleList(
            PatchMerging(units[level], units[level + 1], block=architecture.downsample, padding=layers.padding)
            for level in range(len(units) - 1)
        )
        self.down_layer_global_proj: nn.ModuleList | None = None
        if vectors.count:
            self.down_layer_global_proj = nn.ModuleList(
                nn.Linear(vectors.widening * units[level], vectors.widening * units[level + 1])
                for level in range(len(units) - 1)
            )
        # The vectors of the last layer of all are used by the coarsest level of the decoder, or by nothing.
        selves = decoder.depth[-1] > 1 or decoder.first_self
        wanted = decoder.cross_vectors or (decoder.self_vectors and selves)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                SelfStack(
                    units[level],
                    pattern=options.patterns[level],
                    shape=shape,
                    layers=layers,
                    between=options.between,
                    updated=wanted or level < len(units) - 1 or number < options.depth[level] - 1,
                )
                for number in range(options.depth[level])
            )
            for level, shape in enumerate(shapes)
        )

    def forward(self, x: Cells, vectors: Vectors | None = None) -> tuple[list[Cells], list[Vectors | None]]:
        cells, found = [], []
        for level, stacks in enumerate(self.blocks):
            if level:
                x = self.down_layers[level - 1](x)
                if vectors is not None and self.down_layer_global_proj is not None:
                    vectors = self.down_layer_global_proj[level - 1](vectors)
            for stack in stacks:  # type: ignore[attr-defined]
                x, vectors = recomputed(stack, x, vectors, when=self.checkpoint)
            cells.append(x)
            found.append(vectors)
        return cells, found
