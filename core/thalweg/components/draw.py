"""Random numbers that belong to samples and members, not to batches, ranks or workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Draw:
    """Counter-based: each sample, member and name has a generator of its own, keyed by all that is below.

    So member 7 of a sample is the same alone or in any batch, in any order, on any worker; no generator is shared.
    """

    seed: int
    ids: tuple[int | str, ...]
    """One for each sample of the batch."""
    members: tuple[int, ...] = (0,)
    """Numbers of the members that are drawn."""
    stream: int = 0
    """Tells apart what is drawn again for the same samples: the step, while learning."""

    @classmethod
    def of(cls, inputs: xr.Dataset, *, seed: int, members: int = 1) -> Draw:
        """For the samples of these inputs: known by their coordinates, or by their values if they have none."""
        count = inputs.sizes.get("sample", 1)
        coords = sorted(inputs.coords.items(), key=lambda item: str(item[0]))
        own = [each for _, each in coords if "sample" in each.dims]
        ids = tuple(_id(own or list(inputs.data_vars.values()), i) for i in range(count))
        return cls(seed, ids, tuple(range(members)))

    def normal(self, name: str, shape: tuple[int, ...], *, members: bool = False) -> Array:
        """Standard normal, float32: `(sample, *shape)`, or `(sample, member, *shape)`; of the first member without."""
        return self._drawn(name, shape, members, "standard_normal")

    def uniform(self, name: str, shape: tuple[int, ...], *, members: bool = False) -> Array:
        """Uniform in [0, 1), float32; shaped as `normal`."""
        return self._drawn(name, shape, members, "random")

    def at(self, stream: int) -> Draw:
        """Other numbers for the same samples and members."""
        return replace(self, stream=stream)

    def member(self, number: int) -> Draw:
        """Those of one member."""
        return replace(self, members=(number,))

    def _drawn(self, name: str, shape: tuple[int, ...], members: bool, kind: str) -> Array:
        import numpy as np

        chosen = self.members if members else self.members[:1]
        found = np.empty((len(self.ids), len(chosen), *shape), np.float32)
        for i, sample in enumerate(self.ids):
            for j, member in enumerate(chosen):
                key = np.frombuffer(_key(self.seed, name, self.stream, sample, member), np.uint64)
                generator = np.random.Generator(np.random.Philox(key=key))
                found[i, j] = getattr(generator, kind)(shape, dtype=np.float32)
        return found if members else found[:, 0]


def _id(arrays: list[xr.DataArray], i: int) -> str:
    text = hashlib.blake2b(digest_size=16)
    for part in _parts(arrays, i):
        text.update(part)
    return text.hexdigest()


def _parts(arrays: list[xr.DataArray], i: int) -> Iterator[bytes]:
    for each in arrays:
        values = (each.isel(sample=i) if "sample" in each.dims else each).values
        yield str(each.name).encode()
        yield repr(values.tolist()).encode() if values.dtype.kind in "OUS" else values.tobytes()


def _key(*parts: int | str) -> bytes:
    """16 bytes; numbers and texts that look alike are told apart."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()
