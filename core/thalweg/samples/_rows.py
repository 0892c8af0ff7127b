"""Reading the elements of many samples at once: each stretch once, by basic slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .elements import HELD, OWNER

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from .ragged import Ragged

    Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Elements:
    """What the samples of a batch have along one ragged dim."""

    dim: str
    start: Ints
    count: Ints

    @classmethod
    def of(cls, index: Ragged, numbers: Ints) -> dict[str, Elements]:
        """By ragged dim."""
        return {dim: cls(dim, index.start[dim][numbers], index.count[dim][numbers]) for dim in index.ragged}

    def __len__(self) -> int:
        return int(self.count.sum())

    @property
    def coordinates(self) -> dict[str, Any]:
        """Whose each element is, and how many each sample has."""
        import numpy as np

        owner = np.repeat(np.arange(len(self.count)), self.count)
        whose = {"long_name": "position of the sample that an element belongs to", "units": "1"}
        held = {"long_name": f"elements along {self.dim}", "units": "1", "sample_dimension": self.dim}
        return {
            f"{self.dim}{OWNER}": (self.dim, owner, whose),
            f"{self.dim}{HELD}": ("sample", self.count, held),
        }

    def layout(self, array: xr.Variable) -> xr.Variable:
        """The shape and dtype of these elements, over empty memory."""
        import numpy as np
        import xarray as xr

        others = [dim for dim in array.dims if dim != self.dim]
        shape = (len(self), *(array.sizes[dim] for dim in others))
        empty = np.broadcast_to(np.zeros((), dtype=array.dtype), shape)
        return xr.Variable((self.dim, *others), empty, array.attrs)

    def stretches(self) -> Iterator[tuple[int, int, Ints]]:
        """Elements that lie side by side: `(low, high, members)`, with the samples in the order of their elements."""
        import numpy as np

        some = np.flatnonzero(self.count)
        if not len(some):
            return
        order = some[np.argsort(self.start[some], kind="stable")]
        start, end = self.start[order], (self.start + self.count)[order]
        for members in np.split(order, np.flatnonzero(start[1:] > np.maximum.accumulate(end)[:-1]) + 1):
            yield int(self.start[members[0]]), int((self.start + self.count)[members].max()), members


def gathered(variables: Mapping[str, xr.Variable], elements: Mapping[str, Elements]) -> dict[str, xr.Variable]:
    """The elements of each variable in memory, in the order of the samples."""
    import numpy as np

    dims = {name: next(dim for dim in elements if dim in each.dims) for name, each in variables.items()}
    runs = {dim: list(elements[dim].stretches()) for dim in set(dims.values())}
    parts = [
        array.isel({dims[name]: slice(low, high)})
        for name, array in variables.items()
        for low, high, _ in runs[dims[name]]
    ]
    if any(each.chunks is not None for each in parts):
        from dask.base import compute

        # At once, so that fields made from the same chunks read them once.
        parts = list(compute(*parts))
    left = iter(parts)
    found = {}
    for name, array in variables.items():
        own = elements[dims[name]]
        layout, place = own.layout(array), np.cumsum(own.count) - own.count
        values = np.empty(layout.shape, dtype=array.dtype)
        for low, _, members in runs[own.dim]:
            read = next(left).transpose(own.dim, ...).values
            for each in members:
                at, first, size = place[each], own.start[each] - low, own.count[each]
                values[at : at + size] = read[first : first + size]
        found[name] = layout.copy(data=values)
    return found
