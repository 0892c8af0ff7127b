"""Motion of fields, and fields carried along it, of tensors: what networks in any plugin may build on.

Fields are `(sample, time, row, column, channel)`, motion is `(sample, 2, row, column)` in cells per step.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .methods._optical_flow import optical_flow as flow_of

FRAMES = 5
"""Last inputs from which the motion is found."""
WIDTH = 4.0
"""Cells within which motion is alike."""
STIFFNESS = 0.3
"""Pull towards the motion of the whole field."""
ITERATIONS = 2

Fields = Float[Tensor, "field row column"]
Motion = Float[Tensor, "sample 2 row column"]


def in_full(like: Tensor) -> AbstractContextManager[Any]:
    """Without lower precision; on the device that computes shapes only there is none."""
    return nullcontext() if like.is_meta else torch.autocast(like.device.type, enabled=False)


def optical_flow(frames: Float[Tensor, "sample time row column"]) -> Motion:
    """The motion common to all pairs of successive frames, in cells per step: see `_optical_flow`."""
    if frames.is_meta:
        # Where only shapes are computed, the hundreds of steps to a motion would take seconds.
        return frames.new_empty(len(frames), 2, *frames.shape[2:])
    spread = frames.flatten(1).std(1, correction=0)[:, None, None, None]
    frames = frames / torch.where(spread > 0, spread, 1.0)
    still = frames.new_zeros(len(frames), 2, *frames.shape[2:])
    motion = flow_of(frames, still, _Planes(), window=WIDTH, stiffness=STIFFNESS, iterations=ITERATIONS)
    return torch.where(spread > 0, motion, 0.0)


class _Planes:
    """Operations of the optical flow on tensors, a sample each row."""

    def smoothed(self, frames: Tensor, width: float) -> tuple[Tensor, None]:
        return blurred(frames, width, edge=True), None

    def blurred(self, fields: Tensor, width: float) -> Tensor:
        return blurred(fields, width)

    def carried(self, frames: Tensor, by: Tensor) -> Tensor:
        each = by[:, None].expand(-1, frames.shape[1], -1, -1, -1)
        return carried(frames[..., None], each, edge=True)[..., 0]

    def inside(self, by: Tensor) -> Tensor:
        at = _grid(by) - by
        return ((at >= 0) & (at <= by.new_tensor(by.shape[-2:])[:, None, None] - 1)).all(-3)

    def gradient(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        down, along = torch.gradient(fields, dim=(-2, -1))
        return down, along

    def stack(self, parts: list[Tensor]) -> Tensor:
        return torch.stack(parts, dim=-3)

    def minimum(self, one: Tensor, other: Tensor) -> Tensor:
        return torch.minimum(one, other)


def displacements(motion: Motion, steps: int) -> Float[Tensor, "sample step 2 row column"]:
    """How far a cell has come after 1 .. `steps` of a steady motion: semi-Lagrangian, by the midpoint rule."""
    if motion.is_meta:
        return motion.new_empty(len(motion), steps, *motion.shape[1:])
    velocity = motion.permute(0, 2, 3, 1)[:, None]
    gone, found = torch.zeros_like(motion)[:, None], []
    for _ in range(steps):
        half = carried(velocity, gone, edge=True).permute(0, 1, 4, 2, 3) / 2
        gone = gone + carried(velocity, gone + half, edge=True).permute(0, 1, 4, 2, 3)
        found.append(gone)
    return torch.cat(found, dim=1) if found else gone[:, :0]


def carried(
    fields: Float[Tensor, "sample time row column channel"],
    by: Float[Tensor, "sample time 2 row column"],
    *,
    edge: bool = False,
) -> Float[Tensor, "sample time row column channel"]:
    """Each field at `cell - by`, bilinear; beyond the field is 0, or what is at its `edge`."""
    count, times, rows, columns, _ = fields.shape
    size = by.new_tensor([rows - 1, columns - 1]).clamp(min=1)[:, None, None]
    where = (2 * (_grid(by) - by) / size - 1).flip(2).flatten(0, 1).permute(0, 2, 3, 1)
    planes = fields.flatten(0, 1).permute(0, 3, 1, 2)
    mode = "border" if edge else "zeros"
    moved = functional.grid_sample(planes, where.to(planes.dtype), padding_mode=mode, align_corners=True)
    found: Tensor = moved.permute(0, 2, 3, 1).unflatten(0, (count, times))
    return found


def _grid(like: Tensor) -> Tensor:
    rows, columns = (torch.arange(size, dtype=like.dtype, device=like.device) for size in like.shape[-2:])
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


def blurred(fields: Tensor, width: float, *, edge: bool = False) -> Tensor:
    """Fields `(..., row, column)` under a Gaussian; beyond them is 0, or what is at their `edge`."""
    down, along = (_gaussian(size, width, edge).to(fields) for size in fields.shape[-2:])
    return down @ fields @ along.mT


@functools.lru_cache
def _gaussian(size: int, width: float, edge: bool) -> Tensor:
    """The filter as a matrix: fields are small, and a product is faster than many taps."""
    reach = int(4 * width + 0.5)
    # On the processor whatever the default device is: the matrix is kept.
    offsets = torch.arange(-reach, reach + 1, device="cpu")
    taps = torch.exp(-0.5 * (offsets.double() / width) ** 2)
    taps = taps / taps.sum()
    at = torch.arange(size, device="cpu")[:, None] + offsets
    made = torch.zeros(size, size, dtype=torch.float64, device="cpu")
    kept = taps.expand(size, -1) if edge else taps * ((at >= 0) & (at < size))
    return made.scatter_add_(1, at.clamp(0, size - 1), kept.contiguous()).float()
