"""Cutting large variables into blocks of whole chunks, and copying them from a lazy dataset into a group.

A block is the unit of work, of resumption, and of memory: about `BLOCK` bytes, never less than one chunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil, prod
from typing import TYPE_CHECKING, Any

from ..boundaries.access import asked
from ..components import Dataset, Transform
from ..components.calls import call
from ..errors import RunError
from .arrays import lay_out, put, read, reading
from .attempt import Attempt, mark

if TYPE_CHECKING:
    import xarray as xr

    from ..cluster import Workers

BLOCK = 64 * 2**20
PEAK = 3
"""Copies of a block that are in memory at once: read, transformed, encoded."""


@dataclass(frozen=True)
class Block:
    """A region of one variable, aligned to its chunks."""

    variable: str
    region: tuple[tuple[int, int], ...]

    @property
    def key(self) -> str:
        return "-".join([self.variable, *(str(start) for start, _ in self.region)])

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(*each) for each in self.region)


@dataclass(frozen=True)
class Source:
    """A lazy dataset that any process can open: a dataset part, or a committed group under transforms."""

    dataset: Dataset | None = None
    url: str = ""
    transforms: tuple[Transform, ...] = ()
    statistics: tuple[str, ...] = ()
    """URLs of what each transform knows of the whole of its input; empty for one that knows nothing.

    Not the statistics themselves: each task is sent this value, and a climatology is as large as twelve steps.
    """
    token: str = ""
    """Identifies it: processes keep the last few that they opened."""

    def __hash__(self) -> int:
        return hash(self.token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and other.token == self.token

    def open(self) -> xr.Dataset:
        """The dataset, dask-backed."""
        return _open(self)


def committed(url: str) -> Source:
    """A committed group as it is."""
    return Source(url=url, token=url)


@lru_cache(maxsize=4)
def _open(source: Source) -> xr.Dataset:
    import xarray as xr

    part = source.dataset
    data: xr.Dataset
    if part is not None:
        data = call(part, asked, part.open, part.name, kind=RunError)
    elif source.transforms:
        data = committed(source.url).open()
    else:
        data = read(source.url, dask=True)
    for transform, url in zip(source.transforms, source.statistics, strict=True):
        known = xr.Dataset()
        if url:
            with reading(url):
                known = read(url).load()
        data = call(transform, transform.apply, data, known)
    return data


def chunks_of(data: xr.Dataset) -> dict[str, tuple[int, ...]]:
    """The chunks of the variables that are large (dask-backed): those of a regular grid, by the first of each dim."""
    return {
        str(name): tuple(each[0] for each in array.chunks) for name, array in data.data_vars.items() if array.chunks
    }


def block_shape(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole chunks, as many as fit `BLOCK`, along the last dims first."""
    size = [max(1, min(chunk, length)) for chunk, length in zip(chunks, shape, strict=True)]
    for axis in reversed(range(len(shape))):
        room = BLOCK // max(1, prod(size) * itemsize)
        if room < 2:
            break
        size[axis] = min(max(1, shape[axis]), size[axis] * max(1, min(room, ceil(shape[axis] / size[axis]))))
    return tuple(size)


def blocks(data: xr.Dataset) -> Iterator[Block]:
    """All blocks of the large variables of a dataset."""
    for name, chunks in chunks_of(data).items():
        array = data[name]
        size = block_shape(array.shape, chunks, array.dtype.itemsize)
        cuts = [
            [(start, min(start + step, length)) for start in range(0, length, step)]
            for step, length in zip(size, array.shape, strict=True)
        ]
        for region in itertools.product(*cuts):
            yield Block(name, region)


def largest_block(data: xr.Dataset) -> int:
    """Bytes of the largest block."""
    return max(
        (
            prod(block_shape(data[name].shape, chunks, data[name].dtype.itemsize)) * data[name].dtype.itemsize
            for name, chunks in chunks_of(data).items()
        ),
        default=0,
    )


def same_array(array: Any, other: Any) -> bool:
    """Whether a transform left a large variable as it was, so that it need not be copied."""
    return (
        other is not None
        and array.chunks is not None
        and other.chunks is not None
        and array.data.name == other.data.name
        and array.dims == other.dims
        and array.attrs == other.attrs
    )


@dataclass(frozen=True)
class Copy:
    """The task of copying blocks of a source into a group."""

    source: Source
    folder: str

    def __call__(self, block: Block) -> int:
        array = self.source.open()[block.variable]
        compute = partial(array[block.slices].compute, scheduler="synchronous")
        part = self.source.dataset or next(reversed(self.source.transforms), None)
        name = self.source.url if self.source.dataset is None else self.source.dataset.name
        with reading(*([self.source.url] if self.source.url else [])):
            read_whole = partial(asked, compute, name, kind=RunError)
            values = (read_whole() if part is None else call(part, read_whole)).values
        put(f"{self.folder}/data", block.variable, block.slices, values)
        mark(self.folder, block.key)
        return int(values.nbytes)


def copy(source: Source, attempt: Attempt, workers: Workers, *, keep: tuple[str, ...] = (), label: str) -> int:
    """Copy a source into an attempt's group, but for the large variables in `keep`, which it names; returns the bytes.

    Blocks that an earlier, interrupted copy finished are left as they are.
    """
    data = source.open().drop_vars(list(keep)).assign_attrs(kept=list(keep))
    done = attempt.marks()
    if "laid-out" not in done:
        lay_out(attempt.url(), data, large=chunks_of(data))
        mark(attempt.folder, "laid-out")
    todo = [block for block in blocks(data) if block.key not in done]
    return sum(workers.map(Copy(source, attempt.folder), todo, label=label))
