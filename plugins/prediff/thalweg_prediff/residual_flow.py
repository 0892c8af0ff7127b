r"""Members of a nowcast, drawn from noise: what an advected forecast leaves, by a flow or a diffusion.

The residual $x$ is drawn from noise $n$ of its own spectrum (`coloured`). A flow is preconditioned (`flow`): before
anything is learned it draws a forecast that is dressed in stationary Gaussian errors.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from thalweg import Noise
from torch import Tensor

from . import flow
from .coloured import Colour
from .grouped import grouped
from .nowcast_network import NowcastNetwork, Shape
from .objective import Kind, estimate, path_of, target
from .objective import clean as clean_of
from .path import FIRST, Diffusion, Level
from .plane_unet import PlaneUNet
from .samplers import Kind as Sampler
from .samplers import Step, sample
from .schedule import Schedule
from .turned import turned, turned_back

if TYPE_CHECKING:
    from thalweg.learning import Guide

log = logging.getLogger("thalweg")

LAST = 0.999
"""Of the times of a flow that are learned at."""


@dataclass(frozen=True)
class Drawing:
    """How members are drawn."""

    objective: Kind
    sampler: Sampler
    steps: int


class ResidualFlow(NowcastNetwork):
    """Inputs (sample, lead, row, column, 1) to members (sample, member, lead, row, column, 1), scaled."""

    def __init__(
        self, shape: Shape, drawing: Drawing, *, dry: bool, units: tuple[int, ...], blocks: int, fold: int
    ) -> None:
        super().__init__(shape, dry=dry)
        self.drawing, self.path = drawing, path_of(drawing.objective, Schedule())
        self.colour = Colour(shape.leads, shape.height, shape.width)
        channels = shape.frames + 2 * shape.leads
        self.network = PlaneUNet(channels, shape.leads, units=units, blocks=blocks, fold=fold)

    @torch.no_grad()
    def measure(self, examples: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Learn the spectrum of the residuals, too."""
        self.colour.learn(each.numpy() for each in self.residuals(examples, ways=True))
        self.size.fill_(self.colour.normalise() or 1.0)

    # ---- learning

    def learned(self, inputs: Tensor, truth: Tensor, noise: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The fields that the network makes of noisy ones, (sample, lead, row, column, 1), and the loss of each sample.

        `noise` has `motion` (sample, 2), `noise` like the truth, `share` (sample,) which says how noisy, and `turn`.
        """
        past, clean = (turned(self.into(each[..., 0]), noise["turn"]) for each in (inputs, truth))
        forecast = self.advected(past, noise["motion"])
        known = ~torch.isnan(clean)
        residual = torch.where(known, (clean - forecast) / self.size, 0.0)
        white = self.colour(noise["noise"])
        time, signal, scale = (each.to(residual) for each in self._levels(noise["share"]))
        state = signal * residual + scale * white
        output = self._output(state, time.flatten(), signal, scale, self.seen(past, forecast))
        if self.drawing.objective == "flow":
            wanted, found = flow.wanted(residual, state, signal), flow.estimate(output, state, signal)
        else:
            wanted = target(self.drawing.objective, residual, white, signal, scale)
            found = clean_of(self.drawing.objective, output, state, signal, scale)
        error = torch.where(known, (output - wanted).square(), 0.0).flatten(1).sum(1)
        fields = turned_back(self.out(forecast + self.size * found), noise["turn"])
        return fields[..., None], error / known.flatten(1).sum(1).clamp(min=1)

    def _levels(self, share: Tensor) -> tuple[Tensor, ...]:
        """What the network is told, signal and scale, (sample, 1, 1, 1) each."""
        if self.drawing.objective == "flow":
            signal = flow.times(share, first=FIRST, last=LAST)
            found = 1000.0 * signal, signal, 1.0 - signal
        else:
            assert isinstance(self.path, Diffusion)
            schedule = self.path.schedule
            step = (share * schedule.steps).long().clamp(max=schedule.steps - 1)
            squared = torch.from_numpy(schedule.signal).to(share.device)[step]
            found = step, squared.sqrt(), (1.0 - squared).sqrt()
        return tuple(each.reshape(-1, 1, 1, 1) for each in found)

    def _output(self, state: Tensor, time: Tensor, signal: Tensor, scale: Tensor, seen: Tensor, /) -> Tensor:
        """Of the network, which is given states of variance 1."""
        fed = state / (signal.square() + scale.square()).sqrt()
        found: Tensor = self.network(torch.cat([seen, fed], 1), time).to(state.dtype)
        return found

    # ---- drawing

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor], guide: Guide | None = None) -> Tensor:
        """Members, from the `starts` (sample, member, lead, row, column) and `motions` (sample, member, 2) of `noise`;
        each denoised estimate is handed to the guide, if there is one.
        """
        if "starts" not in noise:
            # Where only the shapes of a step of learning are asked for.
            return self.learned(inputs, torch.zeros_like(noise["noise"])[..., None], noise)[0]
        count, members = noise["starts"].shape[:2]
        past = self.into(inputs[..., 0])
        forecast = self.advected_alone(past, noise["motions"].flatten(0, 1))
        seen = self.seen(past.repeat_interleave(members, 0), forecast)
        evaluations = 0

        def output(states: Tensor) -> Tensor:
            fields = self.out(forecast + self.size * states)
            return fields.reshape(count, members, *fields.shape[1:], 1)

        def denoise(state: Tensor, step: Step) -> Tensor:
            nonlocal evaluations
            evaluations += 1
            at = partial(self._estimates, seen=seen, level=step.level)
            if guide is None:
                return at(state)
            level = step.level
            kind = Noise(level.signal, level.scale, step.gain, step.deviation, step.last, self.colour.covariance)
            return guide(at, state, noise=kind, step=evaluations - 1, output=output)

        # Of shapes only, one step says all.
        levels = self.path.levels(1 if inputs.is_meta else self.drawing.steps)
        first = (levels[0].signal ** 2 + levels[0].scale ** 2) ** 0.5
        start = first * grouped(self.colour, noise["starts"].flatten(0, 1), together=1)
        found = sample(
            self.drawing.sampler,
            start,
            levels,
            denoise=denoise,
            noise=lambda number: grouped(self.colour, noise["steps"][:, :, number].flatten(0, 1), together=1),
        )
        if not inputs.is_meta:
            log.debug("%d network evaluations for %d samples of %d members", evaluations, count, members)
        return output(found)

    def _estimates(self, state: Tensor, *, seen: Tensor, level: Level) -> Tensor:
        """E[x|z] of states (item, lead, row, column)."""
        signal, scale = state.new_tensor(level.signal), state.new_tensor(level.scale)

        def one(state: Tensor, seen: Tensor) -> Tensor:
            time = state.new_full((len(state),), level.time)
            output = self._output(state, time, signal, scale, seen)
            if self.drawing.objective == "flow":
                return flow.estimate(output, state, signal.expand(len(state)))
            return estimate(self.drawing.objective, output, state, level)

        return grouped(one, state, seen)
