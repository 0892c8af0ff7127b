"""One test sample of stand-ins on its own coordinates: what parts are tried on before a value is read.

Static fields (`area`, a mask) are themselves, and read where a part looks at them, if they are small and lie in the
source as they are: rows are made from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ..components.context import context_of
from ..components.grid import fields_of, grid_of
from ..components.signature import Signature
from ..samples import Samples

if TYPE_CHECKING:
    import xarray as xr

Fill = float | Literal["varying", "unread"]

OTHERS: tuple[Fill, ...] = (0.0, -1.0, 300.0, 1e6, -1e6, "varying")
"""What else may stand for the values of fields, where ones are refused."""


STILL = 64 * 2**20
"""Bytes of a static field above which it is not read."""
STEPS = 64
"""Tasks of Dask above which a static field is taken to be computed, and is not."""


class UnreadError(Exception):
    """A part looked at a value that is not there yet."""


@dataclass(frozen=True)
class Scene:
    """One sample of stand-ins; of `unread` ones, an array that is looked at raises `UnreadError`."""

    samples: Samples
    gives: Signature
    fill: Fill = 1.0
    read: dict[str, Any] = field(default_factory=dict, repr=False)
    """Static fields that were looked at."""

    @cached_property
    def given(self) -> xr.Dataset:
        # In chunks what is not read: dims and sizes are then known further on.
        return self._filled(self.samples.filled([0], {}, side="inputs"), chunked=self.fill == "unread")

    @cached_property
    def truth(self) -> xr.Dataset:
        """In Dask's chunks, where a part only describes what it would compute."""
        return self._filled(self._bare_truth, chunked=True)

    @cached_property
    def wanted(self) -> Signature:
        return Signature.of(self._bare_truth)

    @cached_property
    def chunked(self) -> xr.Dataset:
        """The estimate, in Dask's chunks."""
        return self._filled(self._bare_estimate, chunked=True)

    @cached_property
    def estimate(self) -> xr.Dataset:
        """As a run has it: in memory."""
        return self._filled(self._bare_estimate)

    @cached_property
    def grid(self) -> xr.Dataset:
        return grid_of(self._bare_truth, self._filled(self.samples.still, chunked=self.fill == "unread"))

    @property
    def nbytes(self) -> int:
        return int(self.samples.filled([0], {}, side="inputs").nbytes + self._bare_estimate.nbytes)

    def context(self, *, oracle: bool) -> xr.Dataset:
        """What laws know."""
        truth = self._filled(self._bare_truth, chunked=self.fill == "unread") if oracle else None
        return context_of(self.given, self.wanted, truth)

    @cached_property
    def _bare_truth(self) -> xr.Dataset:
        return self.samples.filled([0], {}, side="truth")

    @cached_property
    def _bare_estimate(self) -> xr.Dataset:
        sizes = {**self.gives.sizes, **self.wanted.sizes}
        if "member" in sizes:
            # Two are as good as many.
            sizes["member"] = min(2, sizes["member"])
        fields = fields_of(Signature(self.gives.fields, sizes), self._bare_truth)
        return fields.assign_coords(self._bare_truth.coords)

    def _filled(self, data: xr.Dataset, *, chunked: bool = False) -> xr.Dataset:
        """The same with stand-ins; what is no number, and static fields, are left as they are."""
        numbers = {str(name): each.variable for name, each in data.data_vars.items() if each.dtype.kind in "biuf"}
        return data.assign(
            {
                name: each.copy(data=self._itself(name, each) if name in self._still else self._array(each, chunked))
                for name, each in numbers.items()
            }
        )

    @cached_property
    def _still(self) -> frozenset[str]:
        return frozenset(map(str, self.samples.still.data_vars))

    def _itself(self, name: str, each: xr.Variable) -> Any:
        """A static field, read when it is looked at."""
        steps = 0 if each.chunks is None else len(each.data.__dask_graph__())
        if each.nbytes > STILL or steps > STEPS:
            return _in_memory(each.shape, each.dtype, _unread)

        def values(key: Any) -> Any:
            if name not in self.read:
                self.read[name] = each.values
            return self.read[name][key]

        return _in_memory(each.shape, each.dtype, values)

    def _array(self, each: xr.Variable, chunked: bool) -> Any:
        import numpy as np

        if self.fill == "unread" and not chunked:
            return _in_memory(each.shape, each.dtype, _unread)
        if self.fill == "unread":
            import dask.array as da

            empty = da.zeros(each.shape, each.dtype, chunks=-1)
            return empty.map_blocks(_unread, dtype=each.dtype, meta=np.empty((0,) * each.ndim, each.dtype))
        with np.errstate(all="ignore"):
            if self.fill == "varying":
                made = np.random.default_rng(0).normal(size=each.shape).astype(each.dtype)
            else:
                made = np.broadcast_to(np.asarray(self.fill).astype(each.dtype), each.shape)
        if chunked:
            import dask.array as da

            return da.from_array(made, chunks=-1)
        return made


def _unread(_: Any) -> Any:
    raise UnreadError("a value is looked at")


def _in_memory(shape: tuple[int, ...], dtype: Any, values: Callable[[Any], Any]) -> Any:
    """An array that is not in chunks, and asked for its values when it is looked at."""
    from xarray.backends import BackendArray
    from xarray.core.indexing import IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

    class Later(BackendArray):
        def __init__(self) -> None:
            self.shape, self.dtype = shape, dtype

        def __getitem__(self, key: Any) -> Any:
            return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, values)

    return LazilyIndexedArray(Later())
