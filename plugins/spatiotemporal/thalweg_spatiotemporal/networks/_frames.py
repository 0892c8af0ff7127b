"""Frames as channels-last sequences outside, as stacks of planes inside."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def unroll(
    frames: Float[Tensor, "sample time y x channel"], patch: int
) -> Float[Tensor, "time sample depth row column"]:
    """One plane per frame, squares of `patch` cells folded into channels; fields are continued by their edge to fit."""
    size, length = frames.shape[0], frames.shape[1]
    # A clone, not `contiguous`, which leaves the strides of a single channel as they are: convolutions would then
    # return channels-last tensors, whose GroupNorm is not safe on CPU.
    planes = frames.permute(1, 0, 4, 2, 3).clone(memory_format=torch.contiguous_format).flatten(0, 1)
    folded = functional.pixel_unshuffle(pad(planes, patch), patch)
    unrolled: Tensor = folded.unflatten(0, (length, size))
    return unrolled


def roll(
    planes: Float[Tensor, "time sample depth row column"], patch: int, *, rows: int, columns: int
) -> Float[Tensor, "sample time y x channel"]:
    """The inverse of `unroll`, for fields of `rows` by `columns` cells."""
    frames = functional.pixel_shuffle(planes.flatten(0, 1), patch)[..., :rows, :columns]
    rolled: Tensor = frames.unflatten(0, planes.shape[:2]).permute(1, 0, 3, 4, 2)
    return rolled


def pad(planes: Float[Tensor, "n channel y x"], multiple: int) -> Float[Tensor, "n channel row column"]:
    """Planes continued by their last row and column to multiples of `multiple`."""
    rows, columns = (-planes.shape[-2] % multiple, -planes.shape[-1] % multiple)
    return functional.pad(planes, (0, columns, 0, rows), mode="replicate") if rows or columns else planes
