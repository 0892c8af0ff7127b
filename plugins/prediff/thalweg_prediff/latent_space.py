"""Latents of fields, of mean 0 and variance 1, on the way from noise: what networks on latents are learned in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .path import FIRST, Diffusion, Flow, Level, Path
from .schedule import Schedule
from .turned import turned

Way = Literal["diffusion", "flow"]


class LatentSpace(nn.Module):
    """A frozen autoencoder, and the mean and standard deviation of each channel of its latents."""

    centre: Tensor
    size: Tensor

    def __init__(self, autoencoder: nn.Module, channels: int, *, way: Way, turned: bool) -> None:
        super().__init__()
        self.autoencoder, self.way, self.turned = autoencoder, way, turned
        self.path: Path = Flow() if way == "flow" else Diffusion(Schedule())
        self.register_buffer("centre", torch.zeros(channels))
        self.register_buffer("size", torch.ones(channels))

    @property
    def coder(self) -> Any:
        """What the learner of the autoencoder built."""
        return self.autoencoder.module

    @torch.no_grad()
    def measure(self, examples: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the mean and the standard deviation of latents to those of the truth's frames."""
        count, total, squares = 0, torch.zeros(len(self.centre)).double(), torch.zeros(len(self.centre)).double()
        for _, truth in examples:
            latents = self.coder.mode(torch.nan_to_num(truth)).double().flatten(0, 3)
            count, total, squares = count + len(latents), total + latents.sum(0), squares + latents.square().sum(0)
        if count:
            mean = total / count
            spread = (squares / count - mean.square()).clamp(min=0.0).sqrt()
            self.centre.copy_(mean)
            self.size.copy_(torch.where(spread > 0, spread, 1.0))

    def given(self, inputs: Tensor) -> Tensor:
        """The latents of what is known."""
        with torch.no_grad():
            found: Tensor = (self.coder.mode(inputs) - self.centre) / self.size
            return found

    def fields(self, latents: Tensor) -> Tensor:
        """Fields, scaled, of latents (item, time, height, width, channel)."""
        made: Tensor = self.coder.decode(latents * self.size + self.centre)
        return made

    def noisy(self, truth: Tensor, noise: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Latents of the truth and their states at a level of noise each: `share` says which, of (sample,)."""
        with torch.no_grad():
            drawn = self.coder.drawn(torch.nan_to_num(truth), noise["posterior"].to(truth))
            clean = (drawn - self.centre) / self.size
            _, signal, scale, _ = self.levels(noise["share"], clean)
            return clean, signal * clean + scale * noise["noise"]

    def levels(self, share: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What a network is told (sample,); signal and scale, as wide as `like`; and the number of the level of 1000.

        Levels are uniform in the steps of the schedule, or in the time of a flow.
        """
        wide = (-1, *(1,) * (like.ndim - 1))
        if isinstance(self.path, Diffusion):
            schedule = self.path.schedule
            step = (share * schedule.steps).long().clamp(max=schedule.steps - 1)
            squared = torch.from_numpy(schedule.signal).to(share.device)[step].to(like)
            return step, squared.sqrt().reshape(wide), (1.0 - squared).sqrt().reshape(wide), step
        time = (FIRST + (1.0 - FIRST) * share).to(like)
        number = (share * Schedule().steps).long().clamp(max=Schedule().steps - 1)
        return 1000.0 * time, time.reshape(wide), (1.0 - time).reshape(wide), number

    def noisiest(self) -> Level:
        """The level that is drawn from."""
        return self.path.at(0.0)

    def together(self, *fields: Tensor, noise: Mapping[str, Tensor]) -> list[Tensor]:
        """Fields of the same samples, mirrored and turned alike, if they are to be."""
        if not (self.turned and "turn" in noise):
            return list(fields)
        return [turned(each.movedim(-1, 2), noise["turn"]).movedim(2, -1) for each in fields]
