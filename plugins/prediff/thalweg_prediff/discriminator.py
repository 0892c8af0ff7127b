"""A critic of patches of frames, for the autoencoder's adversarial loss."""

from __future__ import annotations

from torch import Tensor, nn


class PatchCritic(nn.Module):
    """Frames (frame, channel, height, width) to a number for each patch: large for frames that look real.

    Named as in the published checkpoints. Its batch normalisation makes a step depend on which frames are together.
    """

    def __init__(self, channels: int = 1, *, units: int = 64, layers: int = 3) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(channels, units, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        before = units
        for number in range(1, layers + 1):
            out = units * min(2**number, 8)
            stride = 2 if number < layers else 1
            parts += [
                nn.Conv2d(before, out, 4, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(out),
                nn.LeakyReLU(0.2),
            ]
            before = out
        parts.append(nn.Conv2d(before, 1, 4, padding=1))
        self.main = nn.Sequential(*parts)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, frames: Tensor) -> Tensor:
        found: Tensor = self.main(frames)
        return found
