"""The cuboid transformer."""

from __future__ import annotations

import torch
from thalweg import HandshakeError
from torch import Tensor, nn
from torch.nn import functional

from .architecture import Architecture
from .decoder import CuboidDecoder
from .encoder import CuboidEncoder
from .initialise import initialise
from .position import PositionEmbedding
from .recompute import recomputed
from .self_attention import CuboidSelfAttention
from .shapes import Cells
from .stack import SelfStack
from .stem import ConvolutionHead, ConvolutionStem, StackedHead, StackedStem


class CuboidTransformer(nn.Module):
    """Fields (batch, time, height, width, channel) to the fields that follow, by attention within cuboids.

    Parameters are named as in the published checkpoints. Fields of another shape than it was built for are taken:
    embeddings of position are interpolated, patterns made anew, and offsets beyond a table of biases take its last.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        memories = a.memories((a.input_shape[0], a.input_shape[1], a.input_shape[2]))
        units, vectors, steps = a.level_units, a.layers.vectors, a.target_shape[0]
        self.init_global_vectors: nn.Parameter | None = None
        if vectors.count:
            self.init_global_vectors = nn.Parameter(torch.zeros(vectors.count, vectors.widening * units[0]))
        self.initial_encoder: ConvolutionStem | StackedStem
        self.final_decoder: ConvolutionHead | StackedHead
        if a.stem.kind == "conv":
            self.initial_encoder = ConvolutionStem(a.stem, channels=a.input_shape[3], units=a.units)
            self.final_decoder = ConvolutionHead(a.stem, units=a.units, folded=a.folded)
        else:
            self.initial_encoder = StackedStem(a.stem, channels=a.input_shape[3])
            self.final_decoder = StackedHead(a.stem, folded=a.folded)
        self.dec_final_proj = nn.Linear(self.final_decoder.out, a.target_shape[3])
        self.encoder = CuboidEncoder(a, memories)
        self.enc_pos_embed = PositionEmbedding(units[0], shape=memories[0], kind=a.positions)
        self.z_proj = nn.Linear(units[-1], units[-1])
        self.dec_pos_embed = PositionEmbedding(units[-1], shape=(steps, *memories[-1][1:]), kind=a.positions)
        self.decoder = CuboidDecoder(a, memories, steps=steps)
        initialise(self, a.initialisation)
        # What nothing uses is kept, for checkpoints have it, but takes no part in training.
        for parameter in self.unused_parameters():
            parameter.requires_grad_(False)

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        return self.dec_final_proj

    def forward(self, x: Cells, steps: int | None = None) -> Cells:
        """`steps` fields, as many as it was built for if None. Raises `HandshakeError` for a field it cannot take."""
        self._check(x)
        shape = (x.shape[1], x.shape[2], x.shape[3])
        again = self.architecture.checkpoint
        x = recomputed(self.initial_encoder, x, when=again)
        x = self.enc_pos_embed(x)
        vectors = self.init_global_vectors
        cells, found = self.encoder(x, None if vectors is None else vectors.expand(len(x), -1, -1))
        x = self.decoder(self._start(cells[-1], steps or self.architecture.target_shape[0]), cells, found)
        sizes = [(h, w) for _, h, w in self.architecture.stem.shapes(shape)[:-1]]
        x = recomputed(self.final_decoder, x, sizes, when=again)
        return self.dec_final_proj(x)  # type: ignore[no-any-return]

    def unused_parameters(self) -> list[nn.Parameter]:
        """Parameters on which no output depends: updates of global vectors that no layer reads, unread positions."""
        kinds = (CuboidSelfAttention, SelfStack)
        found = [each for part in self.modules() if isinstance(part, kinds) for each in part.unused_parameters()]
        unread = self.architecture.decoder.start != "zeros"
        return found + (list(self.dec_pos_embed.parameters()) if unread else [])

    def _start(self, memory: Cells, steps: int) -> Cells:
        batch, _, height, width, _ = memory.shape
        start = self.architecture.decoder.start
        if start == "zeros":
            # The same for every sample: computed once.
            positions: Tensor = self.z_proj(self.dec_pos_embed.embedding((steps, height, width)))
            return positions[None].expand(batch, -1, -1, -1, -1)
        if start == "nearest_interp":
            fields = memory.permute(0, 4, 1, 2, 3)
            resized = functional.interpolate(fields, (steps, height, width), mode="nearest").permute(0, 2, 3, 4, 1)
        else:
            resized = memory[:, -1:] if start == "last" else memory.mean(1, keepdim=True)
        return self.z_proj(resized).expand(-1, steps, -1, -1, -1)  # type: ignore[no-any-return]

    def _check(self, x: Tensor) -> None:
        wanted = self.architecture.input_shape
        least = self.architecture.coarsening
        fits = x.ndim == 5 and x.shape[-1] == wanted[3]
        if not fits or any(cells < by for cells, by in zip(x.shape[1:4], least, strict=True)):
            raise HandshakeError(
                f"the cuboid transformer is given fields of shape {tuple(x.shape)!r}",
                allowed=f"(batch, time, height, width, {wanted[3]}) of at least {least!r} cells, "
                f"which become one cell of its coarsest level; built for {wanted!r}",
                advice="give such fields, or build it with fewer levels or a stem of smaller scales",
            )
