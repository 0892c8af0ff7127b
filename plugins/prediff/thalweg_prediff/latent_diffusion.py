"""The second phase's network: a denoiser of latents, and what it learns."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .denoiser import Denoiser
from .latent_space import LatentSpace
from .objective import Kind, estimate, target
from .objective import clean as clean_of
from .path import Level
from .schedule import Schedule


class LatentDiffusion(nn.Module):
    """Latents of the inputs and noisy ones of the targets to clean ones.

    As a network by itself, the denoised estimate at the noisiest level.
    """

    def __init__(self, space: LatentSpace, denoiser: Denoiser, *, learns: Kind, balanced: bool) -> None:
        super().__init__()
        self.space, self.denoiser, self.learns = space, denoiser, learns
        self.log_variance = nn.Parameter(torch.zeros(Schedule().steps)) if balanced else None

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """(sample, time, height, width, channel, 1)."""
        level = self.space.noisiest()
        start = noise["start"] if "start" in noise else noise["noise"]
        return self.estimate((level.signal**2 + level.scale**2) ** 0.5 * start, self.space.given(inputs), level)[
            ..., None
        ]

    def estimate(self, states: Tensor, context: Tensor, level: Level) -> Tensor:
        """E[x|z] of states and context (item, time, height, width, channel)."""
        output = self.denoiser(states, states.new_full((len(states),), level.time), context).to(states.dtype)
        return estimate(self.learns, output, states, level)

    def learned(self, inputs: Tensor, truth: Tensor, noise: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        r"""Denoised estimates, and the loss of each sample: $e / \exp(v_t) + v_t$ of the mean square $e$ of what the
        network was to give, with a $v_t$ that is learned of each level.
        """
        inputs, truth = self.space.together(inputs, truth, noise=noise)
        clean, state = self.space.noisy(truth, noise)
        told, signal, scale, number = self.space.levels(noise["share"], clean)
        output = self.denoiser(state, told, self.space.given(inputs)).to(state.dtype)
        wanted = target(self.learns, clean, noise["noise"], signal, scale)
        error = (output - wanted).square().flatten(1).mean(1)
        if self.log_variance is not None:
            own = self.log_variance[number]
            error = error * (-own).exp() + own
        return clean_of(self.learns, output, state, signal, scale).detach(), error
