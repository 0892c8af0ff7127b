"""What a network that draws its estimate step by step hands each of its steps to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..components.denoised import Denoised, Noise
from ..components.draw import Draw
from ..components.fields import Fields

if TYPE_CHECKING:
    from torch import Tensor

    from ..components.steering import Steering


@dataclass(frozen=True)
class Guide:
    """The laws that are held while a batch is drawn."""

    steering: Steering
    samples: slice
    """Which of the samples that are solved are drawn."""
    draw: Draw
    """Of these samples, and of all members."""
    fields: Callable[[Tensor], Fields]
    """The output of the network, scaled, as fields in their units."""

    def __call__(
        self,
        denoise: Callable[[Tensor], Tensor],
        state: Tensor,
        *,
        noise: Noise,
        step: int,
        output: Callable[[Tensor], Tensor],
        aligned: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The denoised estimate of a state (item, ...), moved by the laws; an item is a sample and member.

        `output` makes what the network gives, `(sample, member, lead, *space, channel)`, of clean states; `aligned` of
        noisy ones, what an alignment network says of the means of frames, in every cell.
        """
        import torch

        # What is drawn keeps no graph; laws need one, of this step.
        with torch.enable_grad():
            now = Denoised.of(
                denoise,
                state,
                decode=lambda states: self.fields(output(states)),
                noise=noise,
                draw=self.draw.at(step),
                aligned=None if aligned is None else lambda states: self.fields(aligned(states)),
            )
            return self.steering(now, samples=self.samples)
