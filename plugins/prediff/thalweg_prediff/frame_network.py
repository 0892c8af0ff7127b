"""The frame-wise autoencoder as a network of fields, and what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .architecture import Autoencoder
from .autoencoder import FrameAutoencoder, Posterior, as_cells, decoded, encoded
from .turned import turned


@dataclass(frozen=True)
class Learned:
    """Frames (frame, channel, height, width) as they were, as they came back, and what that costs."""

    frames: Tensor
    made: Tensor
    loss: Tensor
    """A scalar, the mean over frames."""


class FrameNetwork(nn.Module):
    """Fields (sample, time, height, width, channel) to latents and back.

    As a network by itself, the last input, through its latent, at each lead.
    """

    def __init__(self, architecture: Autoencoder, *, leads: int, divergence: float, turned: bool) -> None:
        super().__init__()
        self.autoencoder = FrameAutoencoder(architecture)
        self.leads, self.divergence, self.turned = leads, divergence, turned

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        # While it learns, as many frames as a step has: a plan counts what they keep.
        count = noise["latents"].shape[1] if "latents" in noise else 1
        made = self.decode(self.mode(inputs[:, -1:].expand(-1, count, -1, -1, -1)))
        return made[:, -1:].expand(-1, self.leads, -1, -1, -1)

    def mode(self, fields: Tensor) -> Tensor:
        """The likeliest latents (sample, time, height, width, channel): of what is given."""
        return as_cells(encoded(self.autoencoder, fields).mode, fields.shape[1])

    def drawn(self, fields: Tensor, noise: Tensor) -> Tensor:
        """Latents of their posterior, for standard normal noise of their shape: of what is learned."""
        posterior = encoded(self.autoencoder, fields)
        return as_cells(posterior.sample(noise.flatten(0, 1).permute(0, 3, 1, 2)), fields.shape[1])

    def decode(self, latents: Tensor) -> Tensor:
        """Fields of latents of the same dims."""
        return decoded(self.autoencoder, latents)

    def learned(self, inputs: Tensor, truth: Tensor, noise: Mapping[str, Tensor]) -> Learned:
        """The reconstruction of some frames of each sample: absolute errors, added up, and the divergence."""
        chosen, known = _frames(torch.cat([inputs, truth], 1), noise, turn=self.turned)
        posterior: Posterior = self.autoencoder.encode(chosen)
        made = self.autoencoder.decode(posterior.sample(noise["latents"].flatten(0, 1)))
        error = torch.where(known, (made - chosen).abs(), 0.0).flatten(1).sum(1)
        return Learned(chosen, made, (error + self.divergence * posterior.divergence()).mean())


def _frames(fields: Tensor, noise: Mapping[str, Tensor], *, turn: bool) -> tuple[Tensor, Tensor]:
    """Some frames of each sample, (frame, channel, height, width), missing cells 0, and which cells are there."""
    count = noise["latents"].shape[1]
    order = noise["order"].argsort(1)[:, :count]
    chosen = torch.stack([each[at] for each, at in zip(fields, order, strict=True)]).movedim(-1, 2)
    if turn:
        chosen = turned(chosen, noise["turn"])
    chosen = chosen.flatten(0, 1).contiguous()
    known = ~torch.isnan(chosen)
    return torch.where(known, chosen, 0.0), known
