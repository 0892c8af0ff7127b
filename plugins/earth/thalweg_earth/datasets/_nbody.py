r"""Bodies that attract each other in a box: N-body MNIST's published law of motion, and one that conserves energy.

Both are of unit mass, with the potential of a pair $\Phi = G \sqrt{d^2 + s^2}$. Lengths are pixels of the raw frames,
times raw steps. Arrays are `(sequence, digit, axis)`; no sequence depends on another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

GRAVITY = 0.05
SOFTENING = 10.0
FASTEST = 2.0
"""Speeds are drawn up to it; the published law clips velocities to it, per component."""
LOW, HIGH = 10.0, 118.0
"""Walls that a digit's centre bounces off."""
PARTS = 8
"""Parts of a raw step in the conserving integration."""

Array = np.ndarray[Any, Any]


def acceleration(position: Array) -> Array:
    """The attraction of all others, $G \\sum_j (x_j - x_i) / \\sqrt{d_{ij}^2 + s^2}$."""
    apart = position[:, None, :, :] - position[:, :, None, :]
    squared = apart[..., 0] ** 2 + apart[..., 1] ** 2 + position.dtype.type(SOFTENING**2)
    pull: Array = position.dtype.type(GRAVITY) * (apart / np.sqrt(squared)[..., None]).sum(2)
    return pull


def energy(position: Array, velocity: Array) -> Array:
    r"""$\sum_i v_i^2 / 2 + \sum_{i<j} G \sqrt{d_{ij}^2 + s^2}$ over the last two dims `(digit, axis)`."""
    apart = position[..., None, :, :] - position[..., :, None, :]
    potential = GRAVITY * np.sqrt((apart**2).sum(-1) + SOFTENING**2)
    first, second = np.triu_indices(position.shape[-2], k=1)
    total: Array = 0.5 * (velocity**2).sum((-2, -1)) + potential[..., first, second].sum(-1)
    return total


def published(corner: Array, velocity: Array, half: Array, *, steps: int) -> tuple[Array, Array]:
    """Corners and velocities at steps 0 .. `steps` - 1, `(sequence, step, digit, axis)`, float32 as published.

    Semi-implicit Euler on the digits' upper left corners; velocity components are clipped, and a centre
    (`corner + half`) that leaves the box is put back on the wall with its velocity turned. Energy is not conserved.
    """
    corner, velocity, half = (each.astype(np.float32) for each in (corner, velocity, half))
    low, high, fastest = np.float32(LOW), np.float32(HIGH), np.float32(FASTEST)
    track = [(corner, velocity)]
    for _ in range(steps - 1):
        velocity = np.clip(velocity + acceleration(corner), -fastest, fastest)
        centre = corner + velocity + half
        outside = (centre < low) | (centre > high)
        velocity = np.where(outside, -velocity, velocity)
        corner = np.where(outside, np.clip(centre, low, high) - half, corner + velocity)
        track.append((corner, velocity))
    return _stack(track)


def conservative(centre: Array, velocity: Array, *, steps: int) -> tuple[Array, Array]:
    """Centres and velocities at steps 0 .. `steps` - 1, `(sequence, step, digit, axis)`, float64.

    Velocity Verlet in `PARTS` of a step, no clipping, elastic walls: a part in which a centre meets a wall is cut at
    that moment, which a reflection at its end would miss by an energy of first order in the part's length.
    """
    track = [(centre, velocity)]
    pull = acceleration(centre)
    for _ in range(steps - 1):
        for _ in range(PARTS):
            left = np.full(len(centre), 1.0 / PARTS)
            while left.any():
                meets = _meets(centre, velocity, pull, left)
                part = np.minimum(left, meets.min((1, 2)))
                hit = meets <= part[:, None, None]
                span = part[:, None, None]
                kicked = velocity + 0.5 * span * pull
                wall = np.where(velocity > 0, HIGH, LOW)
                centre = np.where(hit, wall, centre + span * kicked)
                pull = acceleration(centre)
                velocity = kicked + 0.5 * span * pull
                velocity = np.where(hit, -velocity, velocity)
                left = left - part
        track.append((centre, velocity))
    return _stack(track)


def _meets(centre: Array, velocity: Array, pull: Array, left: Array) -> Array:
    """When each component meets a wall, infinite if not within `left`.

    All bodies being inside the box, none is pulled outwards at a wall, so that only one moving outwards can cross it.
    """
    end = centre + left[:, None, None] * (velocity + 0.5 * left[:, None, None] * pull)
    out = np.where(velocity > 0, end > HIGH, (velocity < 0) & (end < LOW)) & (left > 0)[:, None, None]
    way = np.maximum(np.where(velocity > 0, HIGH - centre, centre - LOW), 0.0)
    # The first root of  way = |v| t + sign(v) a t^2 / 2, in the form that does not cancel.
    root = np.sqrt(np.maximum(velocity**2 + 2 * np.sign(velocity) * pull * way, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(out, 2 * way / (np.abs(velocity) + root), np.inf)


def _stack(track: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    return np.stack([each for each, _ in track], axis=1), np.stack([each for _, each in track], axis=1)
