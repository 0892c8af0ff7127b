"""Where each sample of a dataset lies: a frozen value that rides in the dataset as small variables.

A preprocessed dataset is a set of fields and one index. Nothing is cut out or copied; a sample is read when it is asked
for. Only this package knows how an index is written; all others ask it.

    Windows   inputs  field(sample, lead = 1-inputs .. 0, ...)     truth  field(sample, lead = 1 .. targets, ...)
    Pairs     inputs and truth are different variables of one dim, or of the dataset as a whole
    Ragged    as pairs; along ragged dims a sample has as many elements as it has, field(DIM, ...) in a row
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..errors import HandshakeError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    Ints = np.ndarray[Any, np.dtype[np.int64]]
    Bools = np.ndarray[Any, np.dtype[np.bool_]]

Split = Literal["train", "validate", "test"]
Side = Literal["inputs", "truth"]

SPLITS: tuple[Split, ...] = ("train", "validate", "test")
"""Their positions are the labels of samples; -1 is none of them."""

FORM = "samples"
"""The attribute of a dataset that says how its index is to be read."""


@dataclass(frozen=True)
class View:
    """One side of every sample: the steps `begin + first + k * every`, k = 0 .. `length` - 1."""

    first: int = 0
    length: int = 1
    every: int = 1
    lead: tuple[int, ...] | None = None
    """The leads of the steps; None: a sample is one position, without a dim `lead`."""
    reference: int = 0
    """Steps from `begin` to the last input."""

    @property
    def extent(self) -> int:
        """Steps of the series from the first to the last, both included."""
        return (self.length - 1) * self.every + 1


@dataclass(frozen=True)
class Track:
    """An unbroken progression of steps `start, start + every, ...` below `stop`, in one row of the series."""

    row: int
    start: int
    stop: int
    every: int

    def __len__(self) -> int:
        return len(range(self.start, self.stop, self.every))


@dataclass(frozen=True, eq=False, kw_only=True)
class SampleIndex(ABC):
    """Where each sample lies: from step `begin` on along `dim`, in row `row` of the dim `series`."""

    kind: ClassVar[str]

    dim: str | None
    """The dim of steps; None: the dataset as a whole is one sample."""
    series: str | None = None
    """The dim of independent series, if there is one."""
    begin: Ints
    row: Ints
    label: Ints | None = None
    """Of each sample, its position in `SPLITS`, or -1; None: it was never split."""

    def __len__(self) -> int:
        return len(self.begin)

    def numbers(self, split: Split | None = None) -> Ints:
        """The samples of a split; all of them where it is None, or where the data were never split."""
        import numpy as np

        if split is None or self.label is None:
            return np.arange(len(self))
        return np.flatnonzero(self.label == SPLITS.index(split))

    @abstractmethod
    def view(self, side: Side) -> View:
        """Which steps this side of a sample holds."""

    @abstractmethod
    def names(self, side: Side, data: xr.Dataset) -> tuple[str, ...]:
        """The variables of `data` that this side of a sample holds."""

    @property
    @abstractmethod
    def variables(self) -> tuple[str, ...]:
        """Names of the small variables that it is written as."""

    @property
    def ragged(self) -> tuple[str, ...]:
        """The dims along which each sample has elements of its own number."""
        return ()

    @property
    @abstractmethod
    def along(self) -> str | None:
        """The dim of the data that has one position per sample."""

    @property
    def unit(self) -> str | None:
        """The dim of what may be drawn into a split at random: pairs, or whole series; None: nothing may."""
        return self.series

    def steps(self, numbers: Ints) -> Ints:
        """Positions along `dim` that each of these samples touches, `(sample, step)`."""
        import numpy as np

        sides = [self.view("inputs"), self.view("truth")]
        offsets = np.unique(np.concatenate([each.first + np.arange(each.length) * each.every for each in sides]))
        return np.asarray(self.begin[numbers][:, None] + offsets, dtype=np.int64)

    def covered(self, numbers: Ints, data: xr.Dataset) -> Bools:
        """`(series, step)`: whether a step lies in one of these samples, between the steps that it touches too."""
        import numpy as np

        size = data.sizes[self.dim] if self.dim is not None else 1
        rows = data.sizes[self.series] if self.series is not None else 1
        extent = max(each.first + each.extent for each in (self.view("inputs"), self.view("truth")))
        # +1 where a sample begins, -1 after it ends: positive sums are covered steps.
        edges = np.zeros((rows, size + 1), dtype=np.int64)
        np.add.at(edges, (self.row[numbers], self.begin[numbers]), 1)
        np.add.at(edges, (self.row[numbers], self.begin[numbers] + extent), -1)
        return np.asarray(edges.cumsum(axis=1)[:, :size] > 0)

    def tracks(self, numbers: Ints) -> Iterator[Track]:
        """Unbroken progressions of the steps that these samples touch, as far apart as those of a sample.

        What a dynamical model may learn from: from one step of a track to the next is one lead. Samples whose steps
        interleave (`every` of 2, one starting a step after the other) give one track for each phase.
        """
        import numpy as np

        every = self.view("inputs").every
        touched = self.steps(numbers)
        rows, begin = self.row[numbers], self.begin[numbers]
        for row in np.unique(rows):
            for phase in range(every):
                chosen = (rows == row) & (begin % every == phase)
                steps = np.unique(touched[chosen]) // every
                for run in np.split(steps, np.flatnonzero(np.diff(steps) != 1) + 1):
                    if run.size:
                        yield Track(int(row), int(run[0]) * every + phase, int(run[-1]) * every + phase + 1, every)

    def apart(self, numbers: Ints) -> Ints:
        """Positions in `numbers` of samples of which no two share a step, so that none counts twice."""
        import numpy as np

        extent = max(each.first + each.extent for each in (self.view("inputs"), self.view("truth")))
        begin, rows = self.begin[numbers], self.row[numbers]
        kept: list[int] = []
        end: dict[int, int] = {}
        for position in np.lexsort((begin, rows)):
            if begin[position] >= end.get(int(rows[position]), -1):
                kept.append(int(position))
                end[int(rows[position])] = int(begin[position]) + extent
        return np.array(kept, dtype=np.int64)

    def labelled(self, label: Ints) -> Self:
        """This index with each sample in a split."""
        return replace(self, label=label)

    @property
    @abstractmethod
    def form(self) -> dict[str, Any]:
        """How samples are cut, as plain data; not where."""

    def content(self, *splits: Split) -> str:
        """A digest of how the samples of these splits are cut, and where each lies; of no other sample."""
        import numpy as np

        found = hashlib.sha256(json.dumps(self.form, sort_keys=True).encode())
        for split in splits:
            numbers = self.numbers(split)
            found.update(f"{split} {len(numbers)}".encode())
            for places in (self.begin, self.row):
                found.update(np.ascontiguousarray(places[numbers], dtype="<i8").tobytes())
        return found.hexdigest()[:32]

    @abstractmethod
    def on(self, data: xr.Dataset) -> xr.Dataset:
        """`data` with this index: small variables, and an attribute that says how they are read."""


def refuse_cut(counted: Mapping[str, int], data: xr.Dataset) -> None:
    """Raise `HandshakeError` if steps or series were cut or joined after the index was made: it would name others."""
    for dim, size in counted.items():
        found = data.sizes.get(dim, 0)
        if found != size:
            raise HandshakeError(
                f"the samples were counted over {size} positions of {dim!r}, and the data now have {found}",
                allowed="data whose steps are those that the samples were cut from",
                advice=f"put what changes {dim!r} (select, coarsen, ...) before `windows`",
            )
