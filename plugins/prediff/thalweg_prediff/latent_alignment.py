"""The third phase's network: the means of frames, seen from noisy latents, and what it learns."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .alignment import Alignment
from .latent_space import LatentSpace


class LatentAlignment(nn.Module):
    """Noisy latents to the mean of each frame and variable, (sample, time, variable), scaled.

    As a network by itself, what pure noise says.
    """

    def __init__(self, space: LatentSpace, alignment: Alignment) -> None:
        super().__init__()
        self.space, self.alignment = space, alignment

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """(sample, time, variable, 1); it does not see the inputs."""
        level = self.space.noisiest()
        start = noise["start"] if "start" in noise else noise["noise"]
        found: Tensor = self.alignment(start, start.new_full((len(inputs),), level.time))
        return found[..., None]

    def learned(self, truth: Tensor, noise: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The means, and the mean square of their errors, of each sample."""
        (truth,) = self.space.together(truth, noise=noise)
        _, state = self.space.noisy(truth, noise)
        told, *_ = self.space.levels(noise["share"], state)
        found: Tensor = self.alignment(state, told).to(state.dtype)
        wanted = truth.nanmean((2, 3))
        known = ~torch.isnan(wanted)
        error = torch.where(known, found - wanted, 0.0).square().flatten(1).sum(1)
        return found, error / known.flatten(1).sum(1).clamp(min=1)
