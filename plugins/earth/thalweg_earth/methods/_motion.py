"""Motion between the last frames of a field, and extrapolation along it.

Fields are `(y, x)` in float64, NaN where nothing was observed; motion is `(2, y, x)` in cells per step.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ._optical_flow import SCALES
from ._optical_flow import optical_flow as flow_of
from ._smoothing import gaussian_mean

Array = NDArray[Any]

_ITERATIONS = 4
_PEAK = 1.5
"""Width (cells) of the peak of the phase correlation."""
_FLOOR = 1e-2
"""Relative size of a cross-spectrum below which it is noise."""


def is_known(frames: Array) -> bool:
    """Whether there is a motion to be found in `frames` (frame, y, x): whether two of them are there, if in parts."""
    return bool(np.isfinite(frames).any((1, 2)).sum() > 1)


def _successive(frames: Array) -> tuple[Array, int]:
    """Frames of which some follow on each other, and how many steps they are apart: 1 but where others are missing.

    Of the frames 0, 2 and 3 of four the pair (2, 3) speaks, of 0, 2 and 4 the pairs (0, 2) and (2, 4).
    """
    at = np.flatnonzero(np.isfinite(frames).any((1, 2)))
    apart = int(np.diff(at).min()) if at.size > 1 else 1
    if apart == 1:
        return frames, 1
    blank = np.full((1, *frames.shape[1:]), np.nan)
    return np.concatenate([each for first in range(apart) for each in (frames[first::apart], blank)][:-1]), apart


def optical_flow(frames: Array, *, window: float, stiffness: float) -> Array:
    """The motion common to all pairs of successive `frames` (frame, y, x): see `_optical_flow`.

    Frames are smoothed over the cells that are there, and a cell weighs by the share of those around it that are. Where
    every other frame is missing the pairs are of those that are nearest.
    """
    frames, apart = _successive(frames)
    there = np.isfinite(frames)
    motion = np.zeros((2, *frames.shape[1:]))
    spread = float(frames.std() if there.all() else frames[there].std() if there.any() else 0.0)
    if spread == 0.0:
        return motion
    found = flow_of(
        frames / spread, motion, _Planes(frames.shape[1:]), window=window, stiffness=stiffness, iterations=_ITERATIONS
    )
    return np.asarray(found / apart)


class _Planes:
    """Operations of the optical flow on numpy's arrays, NaN where nothing was observed."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._grid = np.indices(shape, dtype=np.float64)
        self._limit = np.array(shape)[:, None, None] - 1

    def smoothed(self, frames: Array, width: float) -> tuple[Array, Array | None]:
        there = np.isfinite(frames)
        if there.all():
            return ndimage.gaussian_filter(frames, (0.0, width, width), mode="nearest"), None
        return gaussian_mean(frames, (0.0, width, width), there)

    def blurred(self, fields: Array, width: float) -> Array:
        return np.asarray(ndimage.gaussian_filter(fields, (0.0, width, width), mode="constant"))

    def carried(self, frames: Array, by: Array) -> Array:
        return _moved(frames, self._grid - by)

    def inside(self, by: Array) -> Array:
        at = self._grid - by
        return np.asarray(((at >= 0) & (at <= self._limit)).all(0))

    def gradient(self, fields: Array) -> tuple[Array, Array]:
        down, along = np.gradient(fields)
        return down, along

    def stack(self, parts: list[Array]) -> Array:
        return np.stack(parts)

    def minimum(self, one: Array, other: Array) -> Array:
        return np.asarray(np.minimum(one, other))


def phase_correlation(frames: Array) -> Array:
    """One displacement for the whole field: the peak of the whitened cross-correlation, averaged over successive pairs.

    It is found again with the frames moved half way each until nothing is left: the window stands still, which pulls a
    single pass towards no motion. A cell that is missing in either frame of a pair has no part, and those near it a
    smaller one. Where every other frame is missing the pairs are of those that are nearest.
    """
    frames, apart = _successive(frames)
    there = np.isfinite(frames)
    grid = np.indices(frames.shape[1:], dtype=np.float64)
    motion = np.zeros((2, 1, 1))
    if not there.any():
        return np.zeros((2, *frames.shape[1:]))
    share = None
    if not there.all():
        width = (0.0, *[SCALES[0] / 2] * 2)
        share = (2 * gaussian_mean(frames, width, there)[1] - 1).clip(0.0, 1.0) * there
        frames = np.where(there, frames, frames[there].mean())
    for _ in range(_ITERATIONS):
        move = [grid - motion / 2, grid + motion / 2]
        earlier, later = _moved(frames[:-1], move[0]), _moved(frames[1:], move[1])
        weight = None
        if share is not None:
            weight = np.minimum(_moved(share[:-1], move[0]), _moved(share[1:], move[1]))
        motion = motion + _peak(earlier, later, weight)[:, None, None]
    return np.broadcast_to(motion / apart, (2, *frames.shape[1:])).copy()


def _moved(fields: Array, where: Array) -> Array:
    return np.stack([ndimage.map_coordinates(each, where, order=1, mode="nearest") for each in fields])


def _peak(earlier: Array, later: Array, weight: Array | None = None) -> Array:
    """The displacement `(2,)` between two stacks of fields, of cells that weigh all alike, or by `weight`.

    The spectrum is damped by a Gaussian, so the peak is one too, and a parabola through its logarithm finds it between
    the cells.
    """
    shape = earlier.shape[1:]
    taper = np.hanning(shape[0] + 2)[1:-1, None] * np.hanning(shape[1] + 2)[None, 1:-1]
    spectra = [
        fft.rfft2((each - _mean(each, weight)) * (taper if weight is None else taper * weight))
        for each in (earlier, later)
    ]
    cross = (spectra[0].conj() * spectra[1]).sum(0)
    size = np.abs(cross)
    if not size.max() > 0.0:
        return np.zeros(2)
    wave = fft.fftfreq(shape[0])[:, None] ** 2 + fft.rfftfreq(shape[1])[None] ** 2
    damping = np.exp(-2 * (np.pi * _PEAK) ** 2 * wave)
    correlation = fft.irfft2(cross / (size + _FLOOR * size.max()) * damping, s=shape)
    at = np.unravel_index(int(correlation.argmax()), shape)
    found = []
    for length, place, line in zip(shape, at, (correlation[:, at[1]], correlation[at[0]]), strict=True):
        three = line[[place - 1, place, (place + 1) % length]]
        low, middle, high = np.log(np.maximum(three, 1e-12 * three[1]))
        bend = low - 2 * middle + high
        shift = float(place) + (float((low - high) / (2 * bend)) if bend < 0 else 0.0)
        found.append(shift - length if shift > length / 2 else shift)
    return np.array(found)


def _mean(fields: Array, weight: Array | None) -> Array:
    if weight is None:
        return np.asarray(fields.mean((1, 2), keepdims=True))
    total = weight.sum((1, 2), keepdims=True)
    return np.asarray((fields * weight).sum((1, 2), keepdims=True) / np.where(total > 0.0, total, 1.0))


def extrapolate(
    field: Array, motion: Array, *, steps: int, inflow: Literal["empty", "edge"], empty: float = 0.0
) -> Array:
    """`field` carried along a steady `motion`: (steps, y, x), each interpolated once from `field`: no diffusion.

    What flows in over the edge is `empty`, which may be NaN, or the value of the edge. The interpolation is between the
    cells that are there; a cell is missing if no more than half of what it comes from was observed.
    """
    grid = np.indices(field.shape, dtype=np.float64)
    displacement = np.zeros_like(grid)
    out = np.empty((steps, *field.shape))
    mode: Literal["constant", "nearest"] = "constant" if inflow == "empty" else "nearest"
    there = np.isfinite(field)
    filled = np.where(there, field, 0.0)
    for step in range(steps):
        # Midpoint rule: the motion half a step upstream of where the trajectory has come from.
        origin = grid - displacement
        half = np.stack([ndimage.map_coordinates(each, origin, order=1, mode="nearest") for each in motion]) / 2
        displacement += np.stack(
            [ndimage.map_coordinates(each, origin - half, order=1, mode="nearest") for each in motion]
        )
        origin = grid - displacement
        if there.all():
            out[step] = ndimage.map_coordinates(field, origin, order=1, mode=mode, cval=empty)
            continue
        total = ndimage.map_coordinates(filled, origin, order=1, mode=mode, cval=empty)
        share = ndimage.map_coordinates(there.astype(np.float64), origin, order=1, mode=mode, cval=1.0)
        out[step] = np.where(share > 0.5, total, np.nan) / np.where(share > 0.5, share, 1.0)
    return out


def over_domain(motion: Array, *, steps: int, there: Array | None = None) -> Array:
    """The share of a cell that is still over the domain, (steps, y, x), forward along a steady `motion`.

    The domain is the grid, or, with the mask `there` (y, x), its cells in the mask.
    """
    shape = motion.shape[1:]
    place = np.indices(shape, dtype=np.float64)
    limit = np.array(shape)[:, None, None] - 0.5
    out = np.empty((steps, *shape))
    for step in range(steps):
        half = np.stack([ndimage.map_coordinates(each, place, order=1, mode="nearest") for each in motion]) / 2
        place += np.stack([ndimage.map_coordinates(each, place + half, order=1, mode="nearest") for each in motion])
        over = np.minimum(place + 0.5, limit) - np.maximum(place - 0.5, -0.5)
        out[step] = over.clip(0.0, 1.0).prod(0)
        if there is not None:
            out[step] *= ndimage.map_coordinates(there.astype(np.float64), place, order=1, mode="nearest")
    return out
