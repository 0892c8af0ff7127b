"""Cutting windows of one field out of its chunks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ..samples import Samples
from .chunk_cache import ChunkCache
from .chunk_files import Array, Key
from .chunks import Chunks


@dataclass(eq=False)
class Source:
    """A field, and which of its steps a sample holds: `begin + first + k * every` for k = 0 .. `length` - 1."""

    name: str
    chunks: Chunks
    axis: int
    """The axis of steps."""
    series: int | None
    """The axis of independent series."""
    first: int
    length: int
    every: int
    inputs: int
    """How many of the steps are inputs; the others are truth."""
    leads: bool

    @classmethod
    def of(cls, samples: Samples, name: str, chunks: Chunks) -> Source:
        index, dims = samples.index, samples.data[name].dims
        axis = dims.index(index.dim)
        series = dims.index(index.series) if index.series in dims else None
        past, future = index.view("inputs"), index.view("truth")
        observed, predicted = name in samples.given, name in samples.wanted
        if past.lead is None:
            return cls(name, chunks, axis, series, 0, 1, 1, int(observed), leads=False)
        inputs, targets = past.length * observed, future.length * predicted
        first = past.first if observed else future.first
        return cls(name, chunks, axis, series, first, inputs + targets, past.every, inputs, leads=True)

    def keep(self, nbytes: int) -> None:
        """Keep decoded chunks of this many bytes, and at least those of a window."""
        self.cache = ChunkCache(self.chunks, max(self.chunks_of(self.extent), nbytes // self.chunks.nbytes))

    @cached_property
    def _others(self) -> list[int]:
        return [i for i in range(len(self.chunks.shape)) if i not in (self.axis, self.series)]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return (*((self.length,) if self.leads else ()), *(self.chunks.shape[i] for i in self._others))

    @property
    def extent(self) -> int:
        """Steps of the field from a sample's start to its end, counted from `begin`."""
        return self.first + (self.length - 1) * self.every + 1

    @property
    def rows_per_chunk(self) -> int:
        return 1 if self.series is None else self.chunks.chunks[self.series]

    @cached_property
    def _counts(self) -> list[int]:
        return [-(-self.chunks.shape[i] // self.chunks.chunks[i]) for i in self._others]

    def chunks_of(self, steps: int) -> int:
        """Chunks that may hold this many steps."""
        size, chunk = self.chunks.shape[self.axis], self.chunks.chunks[self.axis]
        return prod(self._counts) * min(-(-(steps - 1) // chunk) + 1, -(-size // chunk))

    def share(self, out: Array, inputs: dict[str, Array], truth: dict[str, Array]) -> None:
        """Give the inputs and the truth their views."""
        if self.inputs:
            inputs[self.name] = out[:, : self.inputs] if self.leads else out
        if self.inputs < self.length:
            truth[self.name] = out[:, self.inputs :] if self.leads else out

    def read(self, begin: Array, rows: Array, out: Array, *, pool: Executor, threads: int) -> None:
        """Fill `out` with the samples that begin at these steps of these rows."""
        begin = begin + self.first
        done = 0
        while done < len(begin):
            keys: dict[Key, None] = {}
            stop = done
            while stop < len(begin):
                more = dict.fromkeys(self._keys(int(begin[stop]), int(rows[stop])))
                if stop > done and len(keys.keys() | more.keys()) > self.cache.slots:
                    break
                keys |= more
                stop += 1
            kept = self.cache.get(keys, pool)

            def copy(part: Array, kept: dict[Key, Array] = kept) -> None:
                for i in part:
                    self._copy(int(begin[i]), int(rows[i]), out[i] if self.leads else out[i : i + 1], kept)

            # A task for each thread: one for each window would cost more than small windows do.
            list(pool.map(copy, np.array_split(np.arange(done, stop), threads)))
            done = stop

    def _keys(self, begin: int, row: int) -> Iterator[Key]:
        size = self.chunks.chunks[self.axis]
        steps = range(begin // size, (begin + (self.length - 1) * self.every) // size + 1)
        axes: list[Any] = [None] * len(self.chunks.shape)
        axes[self.axis] = steps
        if self.series is not None:
            axes[self.series] = (row // self.chunks.chunks[self.series],)
        for i, count in zip(self._others, self._counts, strict=True):
            axes[i] = range(count)
        return itertools.product(*axes)

    def _copy(self, begin: int, row: int, out: Array, kept: dict[Key, Array]) -> None:
        size, every = self.chunks.chunks[self.axis], self.every
        for key in self._keys(begin, row):
            low = key[self.axis] * size
            # The first and the last step of the window that lie in this chunk.
            start = max(0, -(-(low - begin) // every))
            stop = min(self.length, -(-(low + size - begin) // every))
            if start >= stop:
                continue
            source: list[Any] = [None] * len(key)
            source[self.axis] = slice(begin + start * every - low, begin + (stop - 1) * every - low + 1, every)
            if self.series is not None:
                source[self.series] = row - key[self.series] * self.chunks.chunks[self.series]
            target: list[slice] = [slice(start, stop)]
            for i in self._others:
                offset = key[i] * self.chunks.chunks[i]
                width = min(self.chunks.chunks[i], self.chunks.shape[i] - offset)
                source[i] = slice(0, width)
                target.append(slice(offset, offset + width))
            axis = self.axis - (self.series is not None and self.series < self.axis)
            out[tuple(target)] = np.moveaxis(kept[key][tuple(source)], axis, 0)
