"""Laws on a dask-backed field: chunk by chunk, in its own chunks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from thalweg import HandshakeError
from thalweg.laws import System

from .chunked import update_chunks
from .joint import Joint
from .rows import sparse

if TYPE_CHECKING:
    from .holding import Prior


def hold_lazily(field: xr.DataArray, prior: Prior, joint: Joint) -> dict[str, xr.DataArray]:
    """The lazy field, variance and factor under the linear laws of a system.

    Raises `HandshakeError` for what needs all of a field at once: bounds, order, smoothing, members as one.
    """
    wanted = [
        name
        for name, there in (
            ("bounds", joint.limits() is not None),
            ("monotone", joint.monotone is not None),
            ("smoothing", prior.smoothing is not None),
            ("members", prior.members),
        )
        if there
    ]
    if wanted:
        raise HandshakeError(
            f"{', '.join(wanted)} cannot be held on a field in chunks",
            allowed="linear laws, with a variance, a factor, or neither",
            advice="load a batch of samples at a time, as the pipeline does",
        )
    import dask.array as da

    def laid(array: xr.DataArray) -> Any:
        last = [dim for dim in array.dims if dim not in (*joint.outer, *joint.dims)]
        return da.asarray(array.transpose(*joint.outer, *joint.dims, *last).data)

    def back(values: Any, like: xr.DataArray) -> xr.DataArray:
        last = [dim for dim in like.dims if dim not in (*joint.outer, *joint.dims)]
        ordered = like.transpose(*joint.outer, *joint.dims, *last)
        return ordered.copy(data=values).transpose(*like.dims)

    mean = laid(field)
    assert joint.system is not None
    blocks = _Blocks(replace(joint.system))
    outer = len(joint.outer)
    found = update_chunks(
        mean,
        1.0 if prior.variance is None and prior.factor is None else _or_none(prior.variance, laid),
        blocks=blocks,
        count=joint.count,
        targets=joint.targets(),
        noise=joint.noise,
        weights=joint.weights,
        gaps=joint.system.gaps,
        factor=_or_none(prior.factor, laid),
        outer=outer,
        diagonal=_disjoint(blocks, mean.chunks[outer:]),
    )
    changed = {str(field.name): back(found.mean, field)}
    if prior.variance is not None and not prior.weight:
        changed[str(prior.variance.name)] = back(found.variance, prior.variance)
    if prior.factor is not None:
        changed[str(prior.factor.name)] = back(found.factor, prior.factor)
    return changed


@dataclass(frozen=True)
class _Blocks:
    """The rows of all laws on a region; what travels to the workers."""

    system: System

    def __call__(self, region: tuple[slice, ...]) -> Any:
        from scipy.sparse import vstack

        at = dict(zip(self.system.dims, region, strict=True))
        return vstack([self.system.spread(rows, at) for rows in self.system.rows], format="csr")


def _disjoint(blocks: _Blocks, chunks: tuple[tuple[int, ...], ...]) -> bool:
    """Whether no two rows share a cell, looked at block by block."""
    from itertools import product

    ends = [np.cumsum((0, *each)) for each in chunks]
    regions = product(*(list(map(slice, each[:-1], each[1:])) for each in ends))
    return all(sparse(blocks(region)).disjoint for region in regions)


def _or_none(array: xr.DataArray | None, laid: Any) -> Any:
    return None if array is None else laid(array)
