"""A residual block of two convolutions in space and time, told the noise level between them."""

from __future__ import annotations

from thalweg_earthformer.shapes import Cells
from torch import Tensor, nn

GROUPS = 32


def groups(channels: int) -> int:
    """Groups of a normalisation: 32, or one a channel where 32 does not divide the channels (as published)."""
    return GROUPS if channels % GROUPS == 0 else channels


class TimeEmbedResBlock(nn.Module):
    r"""$x' = S(x) + C_2(\mathrm{SiLU}(N_2(C_1(\mathrm{SiLU}(N_1(x))) + E(e))))$, kernels 3 x 3 x 3.

    $S$ is the identity, or a convolution of one cell where the channels change; $e$ the embedding of the noise level,
    which is left out where the block is built without. Parameters are named as in the published checkpoints.
    """

    def __init__(self, channels: int, out: int, *, embedding: int | None, dropout: float) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(groups(channels), channels), nn.SiLU(), nn.Conv3d(channels, out, 3, padding=1)
        )
        self.emb_layers = None if embedding is None else nn.Sequential(nn.SiLU(), nn.Linear(embedding, out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups(out), out), nn.SiLU(), nn.Dropout(dropout), nn.Conv3d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if channels == out else nn.Conv3d(channels, out, 1)

    def forward(self, x: Cells, embedding: Tensor | None = None) -> Cells:
        # torch's GroupNorm on a processor fails on such a strided view: see the plugin's README.
        volumes = x.permute(0, 4, 1, 2, 3).contiguous()
        hidden = self.in_layers(volumes)
        if self.emb_layers is not None:
            hidden = hidden + self.emb_layers(embedding)[..., None, None, None]
        found = self.skip_connection(volumes) + self.out_layers(hidden)
        return found.permute(0, 2, 3, 4, 1)  # type: ignore[no-any-return]
