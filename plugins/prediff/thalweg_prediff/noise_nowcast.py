"""Members of a nowcast in one pass of a network that is given noise."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .grouped import TOGETHER, grouped
from .nowcast_network import NowcastNetwork, Shape
from .plane_unet import PlaneUNet
from .turned import turned, turned_back


class NoiseNowcast(NowcastNetwork):
    """Inputs (sample, lead, row, column, 1) to members (sample, member, lead, row, column, 1), scaled.

    Noise is coarse fields beside the inputs, and a vector that scales and shifts the channels of each block.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        dry: bool,
        units: tuple[int, ...],
        blocks: int,
        fold: int,
        fields: int,
        vector: int,
    ) -> None:
        super().__init__(shape, dry=dry)
        self.network = PlaneUNet(
            shape.frames + shape.leads + fields, shape.leads, units=units, blocks=blocks, fold=fold, vector=vector
        )
        # A new network gives nothing, and nothing would teach it what the noise is for.
        nn.init.normal_(self.network.out.weight, std=1e-2)

    def members(self, past: Tensor, noise: Mapping[str, Tensor], *, alone: bool) -> Tensor:
        """(sample, member, lead, row, column), dry cells apart; `noise` has `motions`, `fields` and `vectors`."""
        count, each = noise["motions"].shape[:2]
        motions, fields, vectors = (noise[name].flatten(0, 1) for name in ("motions", "fields", "vectors"))
        forecast = (self.advected_alone if alone else self.advected)(past, motions)
        seen = self.seen(past.repeat_interleave(each, 0), forecast)
        residual = grouped(self._residual, seen, fields, vectors, together=TOGETHER if alone else len(seen))
        return (forecast + self.size * residual).unflatten(0, (count, each))  # type: ignore[no-any-return]

    def _residual(self, seen: Tensor, fields: Tensor, vectors: Tensor) -> Tensor:
        wide = nn.functional.interpolate(fields, size=seen.shape[-2:], mode="nearest")
        found: Tensor = self.network(torch.cat([seen, wide], 1), seen.new_zeros(len(seen)), vectors).to(seen.dtype)
        return found

    def learned(self, inputs: Tensor, truth: Tensor, noise: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Members' fields; members and truth with dry cells apart, which are compared."""
        ways = noise["turn"]
        past = turned(self.into(inputs[..., 0]), ways)
        found = turned_back(self.members(past, noise, alone=False), ways)[..., None]
        return self.out(found), found, self.into(truth)

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """Members; of a step of learning, of which only shapes are asked here, two."""
        own = {name.removeprefix("learned "): each for name, each in noise.items()}
        found = self.members(self.into(inputs[..., 0]), own, alone="motions" in noise)
        return self.out(found)[..., None]
