"""Convolutions before the encoder, which make the field coarser, and after the decoder, which make it fine again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from thalweg import OptionError
from torch import nn

from .convolutions import ConvolutionBlock
from .patch_merge import PatchMerging
from .shapes import Cells, Triple
from .upsample import Upsample

Size = tuple[int, int]


@dataclass(frozen=True)
class Stem:
    """`conv`: one block of convolutions and one merging; `stack_conv`: stages of both, with their own channels."""

    kind: Literal["conv", "stack_conv"] = "conv"
    scales: tuple[Triple, ...] = ((1, 2, 2),)
    """By how much each stage merges (time, height, width)."""
    channels: tuple[int, ...] = ()
    """Of each stage, the last as many as the units of the transformer; for `stack_conv` only."""
    layers: tuple[int, ...] = (2,)
    """Convolutions of each stage."""
    final_layers: int = 1
    """Convolutions after the last upsampling, for `conv` only."""

    def __post_init__(self) -> None:
        stages = len(self.scales)
        right = stages == 1 if self.kind == "conv" else stages == len(self.channels) == len(self.layers)
        if not right or stages == 0:
            raise OptionError(
                f"a stem {self.kind!r} of scales {self.scales!r}, channels {self.channels!r}, layers {self.layers!r}",
                allowed="conv: one scale; stack_conv: as many channels and layers as scales",
                advice="give one of each per stage",
            )

    def groups(self, channels: int) -> int:
        """Groups in which a convolution of so many channels is normalised."""
        return 16 if self.kind == "conv" else max(1, channels // 4)

    def shapes(self, shape: Triple) -> list[Triple]:
        """The shape before each stage, and after the last."""
        found = [shape]
        for scale in self.scales:
            t, h, w = (-(-cells // by) for cells, by in zip(found[-1], scale, strict=True))
            found.append((t, h, w))
        return found


class ConvolutionStem(nn.Module):
    """`conv`: convolutions at full resolution, then one merging."""

    def __init__(self, stem: Stem, *, channels: int, units: int) -> None:
        super().__init__()
        self.conv_block = ConvolutionBlock(channels, units, layers=stem.layers[0], groups=stem.groups(units))
        self.patch_merge = PatchMerging(units, units, block=stem.scales[0])

    def forward(self, x: Cells) -> Cells:
        return self.patch_merge(self.conv_block(x))  # type: ignore[no-any-return]


class StackedStem(nn.Module):
    """`stack_conv`: convolutions and a merging for each stage."""

    def __init__(self, stem: Stem, *, channels: int) -> None:
        super().__init__()
        self.conv_block_list, self.patch_merge_list = nn.ModuleList(), nn.ModuleList()
        for out, layers, scale in zip(stem.channels, stem.layers, stem.scales, strict=True):
            self.conv_block_list.append(ConvolutionBlock(channels, out, layers=layers, groups=stem.groups(out)))
            self.patch_merge_list.append(PatchMerging(out, out, block=scale))
            channels = out

    def forward(self, x: Cells) -> Cells:
        for convolve, merge in zip(self.conv_block_list, self.patch_merge_list, strict=True):
            x = merge(convolve(x))
        return x


class ConvolutionHead(nn.Module):
    """`conv`: one upsampling, then convolutions at full resolution."""

    def __init__(self, stem: Stem, *, units: int, folded: bool) -> None:
        super().__init__()
        self.upsample = Upsample(units, units, folded=folded)
        self.conv_block = ConvolutionBlock(units, units, layers=stem.final_layers, groups=stem.groups(units))
        self.out = units

    def forward(self, x: Cells, sizes: list[Size]) -> Cells:
        return self.conv_block(self.upsample(x, sizes[0]))  # type: ignore[no-any-return]


class StackedHead(nn.Module):
    """`stack_conv`: the stages of the stem in reverse, each an upsampling and convolutions."""

    def __init__(self, stem: Stem, *, folded: bool) -> None:
        super().__init__()
        self.conv_block_list, self.upsample_list = nn.ModuleList(), nn.ModuleList()
        channels = stem.channels[-1]
        for stage in reversed(range(len(stem.scales))):
            self.upsample_list.append(Upsample(channels, channels, folded=folded))
            out = stem.channels[stage]
            self.conv_block_list.append(
                ConvolutionBlock(channels, out, layers=stem.layers[stage], groups=stem.groups(out))
            )
            channels = out
        self.out = channels

    def forward(self, x: Cells, sizes: list[Size]) -> Cells:
        for upsample, convolve, size in zip(self.upsample_list, self.conv_block_list, reversed(sizes), strict=True):
            x = convolve(upsample(x, size))
        return x
