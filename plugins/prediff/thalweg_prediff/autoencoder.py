"""The frame-wise variational autoencoder: each frame to a coarse latent frame, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from thalweg_earthformer.upsample import upsampled_convolution
from torch import Tensor, nn

from .architecture import Autoencoder

LEAST, MOST = -30.0, 20.0
"""Limits of the logarithm of a posterior's variance."""


@dataclass(frozen=True)
class Posterior:
    """A normal distribution of each cell of a latent frame, (frame, channel, height, width)."""

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def of(cls, moments: Tensor) -> Posterior:
        """From what the encoder gives: means, then logarithms of variances, along the channels."""
        mean, log_variance = moments.chunk(2, dim=1)
        return cls(mean, log_variance.clamp(LEAST, MOST))

    @property
    def mode(self) -> Tensor:
        return self.mean

    def sample(self, noise: Tensor) -> Tensor:
        """The latent for a standard normal `noise` of its shape."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        r"""(frame,): Kullback-Leibler divergence to N(0, 1), $\tfrac12 \sum \mu^2 + \sigma^2 - 1 - \ln \sigma^2$."""
        each = self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance
        return 0.5 * each.sum(dim=(1, 2, 3))


class FrameAutoencoder(nn.Module):
    """Frames (frame, channel, height, width) to latents and back; named as in the published checkpoints."""

    def __init__(self, architecture: Autoencoder) -> None:
        super().__init__()
        self.architecture = architecture
        latent = architecture.latent
        self.encoder = Encoder(architecture)
        self.decoder = Decoder(architecture)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)

    def encode(self, frames: Tensor) -> Posterior:
        return Posterior.of(self.quant_conv(self.encoder(frames)))

    def decode(self, latent: Tensor) -> Tensor:
        found: Tensor = self.decoder(self.post_quant_conv(latent))
        return found

    def forward(self, frames: Tensor) -> Tensor:
        """Frames, through the mode of their latents."""
        return self.decode(self.encode(frames).mode)


class Encoder(nn.Module):
    """To twice the channels of a latent: means, and logarithms of variances."""

    def __init__(self, architecture: Autoencoder) -> None:
        super().__init__()
        units, groups = architecture.units, architecture.groups
        self.conv_in = nn.Conv2d(architecture.channels, units[0], 3, padding=1)
        before = (units[0], *units[:-1])
        last = len(units) - 1
        self.down_blocks = nn.ModuleList(
            Down(one, two, count=architecture.layers, groups=groups, halved=level < last)
            for level, (one, two) in enumerate(zip(before, units, strict=True))
        )
        self.mid_block = Middle(units[-1], groups=groups)
        self.conv_norm_out = nn.GroupNorm(groups, units[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(units[-1], 2 * architecture.latent, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.conv_in(frames)
        for block in self.down_blocks:
            x = block(x)
        found: Tensor = self.conv_out(nn.functional.silu(self.conv_norm_out(self.mid_block(x))))
        return found


class Decoder(nn.Module):
    """From latents to frames."""

    def __init__(self, architecture: Autoencoder) -> None:
        super().__init__()
        units, groups = architecture.units[::-1], architecture.groups
        self.conv_in = nn.Conv2d(architecture.latent, units[0], 3, padding=1)
        self.mid_block = Middle(units[0], groups=groups)
        before = (units[0], *units[:-1])
        last = len(units) - 1
        self.up_blocks = nn.ModuleList(
            Up(one, two, count=architecture.layers + 1, groups=groups, doubled=level < last)
            for level, (one, two) in enumerate(zip(before, units, strict=True))
        )
        self.conv_norm_out = nn.GroupNorm(groups, units[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(units[-1], architecture.channels, 3, padding=1)

    @property
    def last_weight(self) -> Tensor:
        """The weights of the last layer, by which an adversarial loss is balanced."""
        return self.conv_out.weight

    def forward(self, latent: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(latent))
        for block in self.up_blocks:
            x = block(x)
        found: Tensor = self.conv_out(nn.functional.silu(self.conv_norm_out(x)))
        return found


class Residual(nn.Module):
    """Two normalised convolutions, added to their input."""

    def __init__(self, channels: int, out: int, *, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, out, eps=1e-6)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = None if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(nn.functional.silu(self.norm1(x)))
        hidden = self.conv2(nn.functional.silu(self.norm2(hidden)))
        return hidden + (x if self.conv_shortcut is None else self.conv_shortcut(x))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Attention of all cells of a frame to one another, with one head."""

    def __init__(self, channels: int, *, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.query, self.key, self.value, self.proj_attn = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        cells = self.group_norm(x).flatten(2).transpose(1, 2)
        seen = nn.functional.scaled_dot_product_attention(self.query(cells), self.key(cells), self.value(cells))
        added: Tensor = self.proj_attn(seen).transpose(1, 2).reshape(x.shape)
        return x + added


class Middle(nn.Module):
    """A residual block, attention, and another residual block, on the coarsest level."""

    def __init__(self, channels: int, *, groups: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([Attention(channels, groups=groups)])
        self.resnets = nn.ModuleList(Residual(channels, channels, groups=groups) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.resnets[1](self.attentions[0](self.resnets[0](x)))
        return found


class Halve(nn.Module):
    """A convolution of stride 2; one cell is added after the last of each side, none before the first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(nn.functional.pad(x, (0, 1, 0, 1)))
        return found


class Double(nn.Module):
    """Nearest neighbours and a convolution, at the cost of a smaller one: see `thalweg_earthformer.upsample`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        found = upsampled_convolution(x, self.conv.weight, self.conv.bias, scale=(2, 2))
        return found.permute(0, 3, 1, 2).contiguous()


class Down(nn.Module):
    """A level of the encoder."""

    def __init__(self, channels: int, out: int, *, count: int, groups: int, halved: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            Residual(channels if number == 0 else out, out, groups=groups) for number in range(count)
        )
        self.downsamplers = nn.ModuleList([Halve(out)] if halved else [])

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.resnets, *self.downsamplers):
            x = layer(x)
        return x


class Up(nn.Module):
    """A level of the decoder."""

    def __init__(self, channels: int, out: int, *, count: int, groups: int, doubled: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            Residual(channels if number == 0 else out, out, groups=groups) for number in range(count)
        )
        self.upsamplers = nn.ModuleList([Double(out)] if doubled else [])

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.resnets, *self.upsamplers):
            x = layer(x)
        return x


def encoded(autoencoder: FrameAutoencoder, fields: Tensor) -> Posterior:
    """Posteriors of all frames of fields (sample, time, height, width, channel)."""
    return autoencoder.encode(fields.flatten(0, 1).permute(0, 3, 1, 2).contiguous())


def as_cells(latent: Tensor, time: int) -> Tensor:
    """Latent frames (frame, channel, height, width) as (sample, time, height, width, channel)."""
    cells: Tensor = latent.unflatten(0, (-1, time))
    return cells.permute(0, 1, 3, 4, 2)


def decoded(autoencoder: FrameAutoencoder, cells: Tensor) -> Tensor:
    """Fields (sample, time, height, width, channel) of latents of the same dims."""
    frames = autoencoder.decode(cells.flatten(0, 1).permute(0, 3, 1, 2).contiguous())
    found: Tensor = frames.unflatten(0, tuple(cells.shape[:2]))
    return found.permute(0, 1, 3, 4, 2)


def reparametrised(posterior: Posterior, generator: torch.Generator | None = None) -> Tensor:
    """A draw of each latent."""
    noise = torch.randn(
        posterior.mean.shape, generator=generator, device=posterior.mean.device, dtype=posterior.mean.dtype
    )
    return posterior.sample(noise)
