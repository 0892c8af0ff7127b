"""Members drawn in latents, from noise to fields, by networks that were learned before."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from thalweg import EstimateError, Noise
from torch import Tensor, nn

from .grouped import grouped
from .path import Level
from .samplers import Kind as Sampler
from .samplers import Step, sample

if TYPE_CHECKING:
    from thalweg.learning import Frozen, Guide

log = logging.getLogger("thalweg")

SEED = 3
"""Numbers between 0 and 1 that the noise of a member's steps is made from."""


@dataclass(frozen=True)
class Drawing:
    """How members are drawn."""

    sampler: Sampler
    steps: int
    together: int
    """Items that go through the denoiser at once."""
    members: int


class LatentSampler(nn.Module):
    """Inputs (sample, lead, row, column, variable) to members (sample, member, lead, row, column, variable), scaled."""

    def __init__(self, diffusion: Frozen, alignment: Frozen | None, drawing: Drawing, *, leads: int) -> None:
        super().__init__()
        self.diffusion, self.alignment, self.drawing, self.leads = diffusion, alignment, drawing, leads

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor], guide: Guide | None = None) -> Tensor:
        """From the `starts` (sample, member, *latents) and `seeds` (sample, member, 3) of `noise`; each denoised
        estimate is handed to the guide, if there is one. Raises `EstimateError` for latents that are not finite.
        """
        if "starts" not in noise:
            # Where the shapes of a step of learning are asked for: nothing is learned.
            return inputs.new_zeros((len(inputs), self.drawing.members, self.leads, *inputs.shape[2:]))
        starts = noise["starts"]
        count, members = starts.shape[:2]
        core: Any = self.diffusion.module
        space = core.space
        context = grouped(space.given, inputs, together=1).repeat_interleave(members, 0)
        levels = space.path.levels(1 if inputs.is_meta else self.drawing.steps)
        evaluations = 0

        def output(states: Tensor) -> Tensor:
            found: Tensor = grouped(space.fields, states, together=1).unflatten(0, (count, members))
            return found

        def denoise(state: Tensor, step: Step) -> Tensor:
            nonlocal evaluations
            evaluations += 1
            _finite(state, members, f"the state before step {evaluations}")
            at = partial(self._estimates, context=context, level=step.level)
            if guide is None:
                found = at(state)
            else:
                found = guide(
                    at,
                    state,
                    noise=Noise(step.level.signal, step.level.scale, step.gain, step.deviation, step.last),
                    step=evaluations - 1,
                    output=output,
                    aligned=self._aligned(inputs, step.level, count) if self.alignment is not None else None,
                )
            _finite(found, members, f"the denoised estimate of step {evaluations}")
            return found

        first = (levels[0].signal ** 2 + levels[0].scale ** 2) ** 0.5
        found = sample(
            self.drawing.sampler,
            first * starts.flatten(0, 1),
            levels,
            denoise=denoise,
            noise=partial(_drawn, noise["seeds"].flatten(0, 1), like=starts[0, 0]),
        )
        log.debug("%d network evaluations for %d samples of %d members", evaluations, count, members)
        return output(found)

    def _estimates(self, states: Tensor, *, context: Tensor, level: Level) -> Tensor:
        core: Any = self.diffusion.module
        return grouped(partial(core.estimate, level=level), states, context, together=self.drawing.together)

    def _aligned(self, inputs: Tensor, level: Level, count: int) -> Any:
        """States to fields, each cell the mean that the alignment network says of its frame."""
        assert self.alignment is not None
        network: Any = self.alignment.module.alignment

        def means(states: Tensor) -> Tensor:
            found = grouped(
                lambda each: network(each, each.new_full((len(each),), level.time)),
                states,
                together=self.drawing.together,
            )
            wide = found[:, :, None, None].expand(-1, -1, *inputs.shape[2:])
            fields: Tensor = wide.unflatten(0, (count, -1))
            return fields

        return means


def _drawn(seeds: Tensor, number: int, *, like: Tensor) -> Tensor:
    """Standard normal noise of a step, (item, *like), made from a seed (item, 3) and the step: none waits in memory."""
    found = np.empty((len(seeds), *like.shape), np.float32)
    for item, seed in enumerate(seeds.double().cpu().numpy()):
        one, two, three = (int(each * 2**24) for each in seed)
        draw = np.random.Generator(np.random.Philox(key=[one << 24 | two, three << 32 | number]))
        found[item] = draw.standard_normal(like.shape, np.float32)
    return torch.from_numpy(found).to(like)


def _finite(latents: Tensor, members: int, what: str) -> None:
    """Raise `EstimateError` for latents (item, ...) with NaN or infinity, with the member and statistics."""
    if latents.is_meta:
        return
    good = torch.isfinite(latents).flatten(1)
    if bool(good.all()):
        return
    item = int((~good.all(1)).nonzero()[0])
    number, member = divmod(item, members)
    own, kept = latents[item].detach().flatten(), good[item]
    left = own[kept].double()
    said = f"{int((~kept).sum())} of {own.numel()} latents are not finite"
    if left.numel():
        said += f", the others have mean {float(left.mean()):.3g} and go from {float(left.min()):.3g} to "
        said += f"{float(left.max()):.3g}"
    raise EstimateError(
        f"{what} is not finite: sample {number} of the batch, member {member}; {said}",
        allowed="finite latents at every step",
        advice="learn with a lower `learning_rate`, take more steps, or weigh laws less while sampling",
    )
