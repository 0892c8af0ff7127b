"""What all problems share: samples that are drawn one by one, each from the seed and its number alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt
from thalweg import SPLITS, Dataset, Pairs

Array = NDArray[Any]
Sample = dict[str, tuple[tuple[str, ...], Array | float]]
"""Fields of one sample: dims and values."""


class Problem(Dataset):
    """Pairs of inputs and truth along `sample`, generated as they are read. No source can be missing."""

    inputs: ClassVar[tuple[str, ...]]
    truth: ClassVar[tuple[str, ...]] = ("u",)

    sizes: tuple[PositiveInt, NonNegativeInt, NonNegativeInt] = Field(
        (500, 50, 100), description="samples to train, validate and test on"
    )
    seed: NonNegativeInt = Field(0, description="seed of the random numbers: the same seed gives the same data")
    chunk: PositiveInt = Field(50, description="samples that are generated together")

    @abstractmethod
    def axes(self) -> dict[str, Array]:
        """The coordinates of space and time."""

    @abstractmethod
    def sample(self, random: np.random.Generator, *, test: int | None) -> Sample:
        """One sample; `test` numbers those to test on."""

    def open(self) -> xr.Dataset:
        import dask.array as da
        from dask.delayed import delayed

        count, test = sum(self.sizes), self.sizes[0] + self.sizes[1]
        like = _generate([0], problem=self, test=test)
        starts = range(0, count, self.chunk)
        make = delayed(partial(_generate, problem=self, test=test), pure=True)
        made = [
            (min(self.chunk, count - start), make(range(start, min(start + self.chunk, count)))) for start in starts
        ]
        fields = {}
        for name, (dims, values) in like.items():
            parts = [da.from_delayed(each[name][1], (n, *values.shape[1:]), dtype=values.dtype) for n, each in made]
            fields[name] = (("sample", *dims), da.concatenate(parts), {"units": "1", "long_name": name})
        axes = {name: (name, values, {"units": "1"}) for name, values in self.axes().items()}
        split = np.repeat(np.arange(len(SPLITS)), self.sizes)
        data = xr.Dataset(fields, {**axes, "sample": np.arange(count)}, {"title": self.name})
        index = Pairs.over("sample", count, inputs=tuple(self.inputs), truth=tuple(self.truth))
        return index.labelled(split).on(data)

    def fingerprint(self) -> str:
        return "generated"


def _generate(numbers: Iterable[int], *, problem: Problem, test: int) -> dict[str, tuple[tuple[str, ...], Array]]:
    tests = {n: n - test if n >= test else None for n in numbers}
    drawn = [problem.sample(np.random.default_rng([problem.seed, n]), test=at) for n, at in tests.items()]
    return {
        name: (dims, np.stack([np.asarray(each[name][1], dtype=np.float64) for each in drawn]))
        for name, (dims, _) in drawn[0].items()
    }
