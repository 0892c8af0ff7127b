"""Motion between the last frames of a field, and extrapolation along it.

Fields are `(y, x)` in float64, motion is `(2, y, x)` in cells per step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Array = NDArray[Any]

_SCALES = (4.0, 2.0, 1.0)
"""Widths (cells) of the filters from coarse to fine: the coarsest bounds the displacement that can be found."""
_ITERATIONS = 4
_PEAK = 1.5
"""Width (cells) of the peak of the phase correlation."""
_FLOOR = 1e-2
"""Relative size of a cross-spectrum below which it is noise."""


def optical_flow(frames: Array, *, window: float, stiffness: float) -> Array:
    r"""Lucas-Kanade motion common to all pairs of successive `frames` (frame, y, x), coarse to fine.

    At each cell the increment minimises $\sum w (g \cdot \delta + r)^2 + \lambda |v + \delta - \bar v|^2$: `r` is the
    difference of the two frames, both moved half way, `g` their gradient, `w` a Gaussian of width `window`, and
    $\bar v$ the motion that fits the whole field, which alone speaks where there is no echo.
    """
    spread = float(frames.std())
    motion = np.zeros((2, *frames.shape[1:]))
    if spread == 0.0:
        return motion
    for scale in _SCALES:
        smooth = ndimage.gaussian_filter(frames / spread, (0.0, scale, scale), mode="nearest")
        for _ in range(_ITERATIONS):
            tensor, vector = _normal_equations(smooth, motion)
            common = np.linalg.lstsq(tensor.sum((-2, -1)), vector.sum((-2, -1)), rcond=1e-6)[0]
            # The increment of the whole field is added to its present mean motion, weighted as the equations are.
            weight = tensor[0, 0] + tensor[1, 1]
            common = common + (motion * weight).sum((1, 2)) / max(float(weight.sum()), 1e-30)
            width = (0.0, 0.0, window, window)
            local = ndimage.gaussian_filter(tensor, width, mode="constant")
            right = ndimage.gaussian_filter(vector, width[1:], mode="constant")
            penalty = stiffness * float(weight.mean()) + 1e-30
            right += penalty * (common[:, None, None] - motion)
            yy, xx, xy = local[0, 0] + penalty, local[1, 1] + penalty, local[0, 1]
            determinant = yy * xx - xy * xy
            motion = motion + np.stack([xx * right[0] - xy * right[1], yy * right[1] - xy * right[0]]) / determinant
    return motion


def _normal_equations(frames: Array, motion: Array) -> tuple[Array, Array]:
    """`g g^T` (2, 2, y, x) and `-g r` (2, y, x), added up over the pairs; what comes from outside weighs nothing."""
    tensor = np.zeros((2, 2, *frames.shape[1:]))
    vector = np.zeros((2, *frames.shape[1:]))
    grid = np.indices(frames.shape[1:], dtype=np.float64)
    back, forth = grid - motion / 2, grid + motion / 2
    limit = np.array(frames.shape[1:])[:, None, None] - 1
    inside = ((back >= 0) & (back <= limit) & (forth >= 0) & (forth <= limit)).all(0)
    for earlier, later in pairwise(frames):
        first = ndimage.map_coordinates(earlier, back, order=1, mode="nearest")
        second = ndimage.map_coordinates(later, forth, order=1, mode="nearest")
        gradient = np.array(np.gradient((first + second) / 2)) * inside
        vector -= gradient * (second - first)
        tensor += gradient[:, None] * gradient[None]
    return tensor, vector


def phase_correlation(frames: Array) -> Array:
    """One displacement for the whole field: the peak of the whitened cross-correlation, averaged over successive pairs.

    It is found again with the frames moved half way each until nothing is left: the window stands still, which pulls a
    single pass towards no motion.
    """
    grid = np.indices(frames.shape[1:], dtype=np.float64)
    motion = np.zeros((2, 1, 1))
    for _ in range(_ITERATIONS):
        move = [grid - motion / 2, grid + motion / 2]
        moved = [
            np.stack([ndimage.map_coordinates(each, where, order=1, mode="nearest") for each in part])
            for part, where in zip((frames[:-1], frames[1:]), move, strict=True)
        ]
        motion = motion + _peak(*moved)[:, None, None]
    return np.broadcast_to(motion, (2, *frames.shape[1:])).copy()


def _peak(earlier: Array, later: Array) -> Array:
    """The displacement `(2,)` between two stacks of fields.

    The spectrum is damped by a Gaussian, so the peak is one too, and a parabola through its logarithm finds it between
    the cells.
    """
    shape = earlier.shape[1:]
    taper = np.hanning(shape[0] + 2)[1:-1, None] * np.hanning(shape[1] + 2)[None, 1:-1]
    spectra = [fft.rfft2((each - each.mean((1, 2), keepdims=True)) * taper) for each in (earlier, later)]
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


def extrapolate(field: Array, motion: Array, *, steps: int, inflow: Literal["empty", "edge"]) -> Array:
    """`field` carried along a steady `motion`: (steps, y, x), each interpolated once from `field`: no diffusion."""
    grid = np.indices(field.shape, dtype=np.float64)
    displacement = np.zeros_like(grid)
    out = np.empty((steps, *field.shape))
    mode: Literal["constant", "nearest"] = "constant" if inflow == "empty" else "nearest"
    for step in range(steps):
        # Midpoint rule: the motion half a step upstream of where the trajectory has come from.
        origin = grid - displacement
        half = np.stack([ndimage.map_coordinates(each, origin, order=1, mode="nearest") for each in motion]) / 2
        displacement += np.stack(
            [ndimage.map_coordinates(each, origin - half, order=1, mode="nearest") for each in motion]
        )
        out[step] = ndimage.map_coordinates(field, grid - displacement, order=1, mode=mode, cval=0.0)
    return out


def over_domain(motion: Array, *, steps: int) -> Array:
    """The share of a cell that is still over the domain, (steps, y, x), forward along a steady `motion`."""
    shape = motion.shape[1:]
    place = np.indices(shape, dtype=np.float64)
    limit = np.array(shape)[:, None, None] - 0.5
    out = np.empty((steps, *shape))
    for step in range(steps):
        half = np.stack([ndimage.map_coordinates(each, place, order=1, mode="nearest") for each in motion]) / 2
        place += np.stack([ndimage.map_coordinates(each, place + half, order=1, mode="nearest") for each in motion])
        over = np.minimum(place + 0.5, limit) - np.maximum(place - 0.5, -0.5)
        out[step] = over.clip(0.0, 1.0).prod(0)
    return out
