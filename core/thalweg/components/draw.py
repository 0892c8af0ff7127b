"""Random numbers of samples and members, not of batches, workers or ranks.

Each number belongs to a seed, a name, a sample and a member: member 7 of sample 12 is the same alone and in any batch,
on any number of workers, and however many members are drawn beside it. Generators are counter-based (Philox, Salmon and
others 2011, 10.1145/2063384.2063405), with a key of their own for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ..errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Draw:
    """What is drawn for some samples, and some members of each."""

    seed: int
    ids: tuple[str, ...]
    """Of each sample, what tells it from all others, wherever it is read."""
    members: tuple[int, ...] = (0,)
    stream: int = 0
    """Another set of numbers for the same samples: the epoch of a training."""

    @classmethod
    def of(cls, inputs: xr.Dataset, *, seed: int, members: int = 1) -> Draw:
        """For a batch of inputs: a sample is known by its coordinates and its values. Raises `OptionError`."""
        if members < 1:
            raise OptionError(f"{members!r} members to be drawn", allowed="1 or more", advice="raise `members`")
        return cls(seed, identities(inputs), tuple(range(members)))

    def at(self, stream: int) -> Draw:
        """Another stream of the same samples."""
        return replace(self, stream=stream)

    def of_members(self, members: Iterable[int]) -> Draw:
        """The same samples, and these members of each."""
        return replace(self, members=tuple(members))

    def of_samples(self, at: slice) -> Draw:
        """The samples at these positions."""
        return replace(self, ids=self.ids[at])

    def normal(self, name: str, shape: tuple[int, ...] = (), *, members: bool = False) -> Floats:
        """Standard normal numbers (sample, *shape), or (sample, member, *shape), float32."""
        import numpy as np

        return self._drawn(name, shape, members, lambda each: each.standard_normal(shape, np.float32))

    def uniform(self, name: str, shape: tuple[int, ...] = (), *, members: bool = False) -> Floats:
        """Numbers between 0 and 1, (sample, *shape) or (sample, member, *shape), float32."""
        import numpy as np

        return self._drawn(name, shape, members, lambda each: each.random(shape, np.float32))

    def _drawn(self, name: str, shape: tuple[int, ...], members: bool, draw: Callable[[Any], Any]) -> Floats:
        import numpy as np

        own = self.members if members else (-1,)
        found = np.empty((len(self.ids), len(own), *shape), np.float32)
        for i, sample in enumerate(self.ids):
            for j, member in enumerate(own):
                said = repr((self.seed, name, self.stream, sample, member)).encode()
                key = int.from_bytes(blake2b(said, digest_size=16).digest(), "little")
                found[i, j] = draw(np.random.Generator(np.random.Philox(key=key)))
        return found if members else found[:, 0]


def identities(inputs: xr.Dataset) -> tuple[str, ...]:
    """Of each sample of a batch a digest of its coordinates and of its values: the same in any batch."""
    import numpy as np

    count = inputs.sizes.get("sample", 1)
    digests = [blake2b(digest_size=16) for _ in range(count)]
    along = [(str(name), each) for name, each in sorted(inputs.variables.items(), key=lambda item: str(item[0]))]
    for name, variable in along:
        if "sample" not in variable.dims:
            continue
        values = variable.transpose("sample", ...).values
        for digest, one in zip(digests, values, strict=True):
            digest.update(name.encode())
            # Texts are as wide as the longest of a batch.
            text = values.dtype.kind in "OUS"
            digest.update(repr(np.asarray(one).tolist()).encode() if text else np.ascontiguousarray(one).tobytes())
    return tuple(each.hexdigest() for each in digests)
