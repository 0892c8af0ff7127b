"""Decoded chunks, kept while they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Executor

import numpy as np

from .chunk_files import Array, Key
from .chunks import Chunks

MAPPED = 512 * 2**20
"""Bytes of chunks that are kept mapped. They are the page cache's, but a Dask worker counts them as its own."""


class ChunkCache:
    """The last chunks that were asked for, in `slots` buffers of one chunk each; one thread asks at a time."""

    def __init__(self, chunks: Chunks, slots: int) -> None:
        self.chunks, self.slots = chunks, max(1, slots, MAPPED // chunks.nbytes if chunks.mappable else 0)
        self._kept: OrderedDict[Key, Array] = OrderedDict()
        self.decoded = 0
        """Chunks decoded so far."""

    def get(self, keys: Iterable[Key], pool: Executor) -> dict[Key, Array]:
        """These chunks, decoded side by side where they are not kept; valid until the next call.

        More than `slots` of them are held only while they are in use.
        """
        wanted = dict.fromkeys(keys)
        for key in wanted.keys() & self._kept.keys():
            self._kept.move_to_end(key)
        missing = [key for key in wanted if key not in self._kept]
        free = []
        while self._kept and len(self._kept) + len(missing) > self.slots:
            key = next(iter(self._kept))
            if key in wanted:
                break
            free.append(self._kept.pop(key))
        if self.chunks.mappable:
            fresh = list(pool.map(self.chunks.map, missing))
        else:
            fresh = [free.pop() if free else np.empty(self.chunks.chunks, self.chunks.dtype) for _ in missing]
            list(pool.map(self.chunks.read, missing, fresh))
        self.decoded += len(missing)
        self._kept.update(zip(missing, fresh, strict=True))
        return {key: self._kept[key] for key in wanted}
