r"""What networks share that learn the errors of an advected forecast, each member carried along its own motion.

The forecast $b_k$ of member $k$ is the last frame, carried along the motion of the inputs plus a vector of the
member's own, $v + \sigma \epsilon_k$. A network gives the residual: the field is $b_k + s r_k$, with $s$ the root mean
square of the residuals in the training samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from thalweg_earth.motion import FRAMES, carried, displacements, in_full, optical_flow
from torch import Tensor, nn

from .grouped import grouped
from .turned import all_ways, turned


@dataclass(frozen=True)
class Shape:
    """Of the fields of a nowcast."""

    frames: int
    """Inputs that the network sees; the motion is found from up to five."""
    leads: int
    height: int
    width: int
    spread: float
    """Standard deviation of a member's own motion, in cells per step."""


class NowcastNetwork(nn.Module):
    """Fields are (sample, lead, row, column), scaled; with `dry`, cells that are not wet lie a gap below it."""

    level: Tensor
    gap: Tensor
    size: Tensor

    def __init__(self, shape: Shape, *, dry: bool) -> None:
        super().__init__()
        self.shape, self.dry = shape, dry
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("gap", torch.zeros(()))
        self.register_buffer("size", torch.ones(()))

    def into(self, fields: Tensor) -> Tensor:
        """Fields as they are learned: with dry cells at `level - gap`. Missing ones stay so."""
        if not self.dry:
            return fields
        wet = (fields > self.level) | torch.isnan(fields)
        return torch.where(wet, fields, (self.level - self.gap).to(fields.dtype))

    def out(self, fields: Tensor) -> Tensor:
        """The reverse: what is below `level` is dry."""
        return torch.maximum(fields, self.level.to(fields.dtype)) if self.dry else fields

    def motion(self, past: Tensor) -> Tensor:
        """Of `past` frames (sample, time, row, column), in cells per step, (sample, 2, row, column)."""
        with torch.no_grad(), in_full(past):
            return optical_flow(past[:, -FRAMES:])

    def along(self, last: Tensor, motion: Tensor, own: Tensor) -> Tensor:
        """Forecasts (item, lead, row, column) of frames (item, row, column), along a motion and vectors of their own
        (item, 2) in standard deviations. What flows in is dry, or the edge.
        """
        with torch.no_grad(), in_full(last):
            by = displacements(motion + self.shape.spread * own[..., None, None].to(motion), self.shape.leads)
            floor = (self.level - self.gap).to(last.dtype) if self.dry else 0.0
            whole = (last - floor)[:, None, ..., None].expand(-1, self.shape.leads, -1, -1, -1)
            return carried(whole, by, edge=not self.dry)[..., 0] + floor

    def advected(self, past: Tensor, own: Tensor) -> Tensor:
        """Forecasts (item, lead, row, column), one of each sample, or some, side by side, of `own` (item, 2)."""
        each = len(own) // len(past)
        motion, last = self.motion(past), past[:, -1]
        return self.along(last.repeat_interleave(each, 0), motion.repeat_interleave(each, 0), own)

    def advected_alone(self, past: Tensor, own: Tensor) -> Tensor:
        """The same, bit-equal for a member whatever others there are."""
        each = len(own) // len(past)
        motion = grouped(self.motion, past, together=1).repeat_interleave(each, 0)
        return grouped(self.along, past[:, -1].repeat_interleave(each, 0), motion, own, together=1)

    def seen(self, past: Tensor, forecast: Tensor) -> Tensor:
        """What the network is told of an item: the last frames, and its forecast."""
        return torch.cat([past[:, -self.shape.frames :], forecast], 1)

    @torch.no_grad()
    def told(self, level: float, gap: float) -> None:
        """`dry`, and how far below it dry cells lie, scaled."""
        self.level.fill_(level)
        self.gap.fill_(gap)

    @torch.no_grad()
    def residuals(self, examples: Iterable[tuple[Tensor, Tensor]], *, ways: bool = False) -> Iterator[Tensor]:
        """Of training samples (sample, lead, row, column), truth less one member's forecast; turned all `ways`."""
        draw = torch.Generator().manual_seed(0)
        for inputs, truth in examples:
            past, clean = self.into(inputs[..., 0]), self.into(truth[..., 0])
            left = clean - self.advected(past, torch.randn((len(past), 2), generator=draw))
            for way in all_ways(left) if ways else ():
                yield turned(left, way.expand(len(left), -1))
            if not ways:
                yield left

    @torch.no_grad()
    def measure(self, examples: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set `size` to the root mean square of the residuals."""
        total, count = 0.0, 0
        for left in self.residuals(examples):
            known = left[~torch.isnan(left)].double()
            total, count = total + float(known.square().sum()), count + known.numel()
        if total > 0.0:
            self.size.fill_((total / count) ** 0.5)
