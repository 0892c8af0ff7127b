"""Conditioning chunk by chunk on Dask: one pass that adds up what the laws need, and one that moves each chunk.

    pass 1    chunk -> sums of the size of the laws, added up in a tree; one small solve per item of the batch
    pass 2    chunk, multipliers -> chunk

Any chunking; nothing is moved between chunks but the sums; lazy throughout, so that refusals come when it is computed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from thalweg.laws import Gaps, shares, tallied

from ._arrays import Plain
from ._checks import check_laws, check_values, row_covariance
from ._solving import Multipliers, Sums, solve
from .engine import masked, moved, sums
from .rows import Operator, operator

log = logging.getLogger("thalweg.probconserv")

Blocks = Callable[[tuple[slice, ...]], Any]
"""The rows on a region of the cells, as an array or a scipy sparse matrix (k, cells in C order)."""


@dataclass(frozen=True)
class Held:
    """A lazy mean and factor, and the variance that is left beside the factor."""

    mean: Any
    variance: Any
    factor: Any | None


@dataclass(frozen=True)
class _Layout:
    """How the sums and multipliers are packed: k, k x k or k, and k x r numbers in one axis."""

    count: int
    rank: int
    diagonal: bool
    gaps: tuple[Gaps, ...]

    @property
    def square(self) -> int:
        return self.count if self.diagonal else self.count**2

    def shape(self, packed: Plain) -> tuple[int, ...]:
        outer = packed.shape[:-1]
        return (*outer, self.count) if self.diagonal else (*outer, self.count, self.count)

    def pack(self, *parts: Any, outer: tuple[int, ...]) -> Plain:
        """Parts (..., k), (..., k, k), ... along one last axis; each may lack the outer axes."""
        flat = []
        for part, ndim in parts:
            array = np.asarray(part)
            own = array.shape[array.ndim - ndim :]
            flat.append(np.broadcast_to(array, (*outer, *own)).reshape(*outer, -1))
        return np.concatenate(flat, -1)

    def unpack(self, packed: Plain) -> list[Plain]:
        """Two of k, one square, and k x r."""
        k, outer = self.count, packed.shape[:-1]
        ends = np.cumsum([k, k, self.square])
        first, second, square, cross = np.split(packed, ends, axis=-1)
        return [first, second, square.reshape(self.shape(packed)), cross.reshape(*outer, k, self.rank)]


def update_chunks(
    mean: Any,
    variance: Any,
    *,
    blocks: Blocks,
    count: int,
    targets: Any,
    noise: Any = 0.0,
    weights: Any = None,
    factor: Any | None = None,
    outer: int,
    diagonal: bool = False,
    gaps: Sequence[Gaps] = (),
) -> Held:
    """Condition a dask array, whose first `outer` axes are a batch and the others cells.

    `variance` is an array like the mean, None where there is only a `factor` (with one more axis, in one chunk), or 1.0
    for the identity. `targets` are (..., k) over the batch. `diagonal` says that no two of the `count` rows share a
    cell, in any chunk; `gaps` what a missing cell is to each row, if it is more than nothing; `weights` (..., k) what
    the root of a row's noise counts with, if that is not 1. Raises, when computed, what `engine.update` raises.
    """
    import dask.array as da
    from dask.delayed import delayed

    cells = mean.ndim - outer
    batch, space = tuple(range(outer)), tuple(range(outer, mean.ndim))
    rank = 0 if factor is None else factor.shape[-1]
    covariance = row_covariance(noise, count)
    layout = _Layout(count, rank, (diagonal or count == 1) and factor is None and covariance.ndim == 1, tuple(gaps))
    starts = [_starts(mean.chunks[axis]) for axis in space]
    places = [each for axis, start in zip(space, starts, strict=True) for each in (start, (axis,))]
    rest, extra = mean.ndim, mean.ndim + 1
    with_factor = [] if factor is None else [_like(factor, mean), (*batch, *space, extra)]
    spread = [] if variance is None or np.ndim(variance) == 0 else [_like(variance, mean), (*batch, *space)]
    unit = variance is not None and np.ndim(variance) == 0
    # One value of the graph: it travels to each worker once, not with each task.
    shared = delayed(blocks, traverse=False, pure=True)
    ways = partial(
        _gathered,
        cells=cells,
        unit=unit,
        spread=bool(spread),
        ranked=factor is not None,
        outer=outer,
        apart=layout.diagonal,
    )
    arguments = [mean, (*batch, *space), *spread, *with_factor, *places]

    size = 2 * count + layout.square + count * rank
    partial_sums = da.blockwise(
        partial(_sums, ways=ways, layout=layout),
        (*batch, *space, rest),
        *arguments,
        new_axes={rest: size + 3 * len(gaps)},
        blocks=shared,
        adjust_chunks=dict.fromkeys(space, 1),
        align_arrays=False,
        concatenate=True,
        dtype=np.float64,
        meta=np.empty((0,) * (mean.ndim + 1)),
    )
    total = partial_sums.sum(axis=space, split_every=8)

    def by_row(values: Any) -> Any:
        whole = da.broadcast_to(da.asarray(values), (*mean.shape[:outer], count))
        return whole.rechunk((*mean.chunks[:outer], (count,)))

    asked = (
        [by_row(targets)]
        if weights is None or (np.asarray(weights) == 1.0).all()
        else list(map(by_row, (targets, weights)))
    )
    multipliers = da.blockwise(
        partial(_solved, layout=layout, noise=covariance),
        (*batch, rest),
        total,
        (*batch, extra),
        *(each for one in asked for each in (one, (*batch, extra + 1))),
        new_axes={rest: size + (count * count if _rooted(covariance, layout) else 0)},
        concatenate=True,
        dtype=np.float64,
        meta=np.empty((0,) * (outer + 1)),
    )

    def step(which: str, like: Any, index: tuple[int, ...]) -> Any:
        kind = like.dtype if np.dtype(like.dtype).kind == "f" else np.dtype("float32")
        return da.blockwise(
            partial(_moved, ways=ways, layout=layout, which=which, kind=kind, rooted=_rooted(covariance, layout)),
            index,
            *arguments,
            multipliers,
            (*batch, rest),
            blocks=shared,
            align_arrays=False,
            concatenate=True,
            dtype=kind,
            meta=np.empty((0,) * len(index), kind),
        )

    index = (*batch, *space)
    return Held(
        step("mean", mean, index),
        variance if unit else step("variance", mean if variance is None else variance, index),
        None if factor is None else step("factor", factor, (*index, extra)),
    )


def _rooted(noise: Plain, layout: _Layout) -> bool:
    return bool(layout.rank and noise.any())


def _starts(chunks: Sequence[int]) -> Any:
    import dask.array as da

    return da.from_array(np.cumsum([0, *chunks[:-1]]), chunks=1)


def _like(array: Any, mean: Any) -> Any:
    """In the chunks of the mean."""
    import dask.array as da

    return da.asarray(array).rechunk((*mean.chunks, *((size,) for size in array.shape[mean.ndim :])))


@dataclass(frozen=True)
class _Part:
    """One chunk with its cells on one axis."""

    rows: Operator
    matrix: Any
    """The rows as they came."""
    mean: Plain
    given: Plain | None
    """The variance as it was."""
    there: Plain
    known: Plain
    variance: Plain | None
    factor: Plain | None


def _gathered(
    *arrays: Plain, blocks: Blocks, cells: int, unit: bool, spread: bool, ranked: bool, outer: int, apart: bool
) -> tuple[_Part, list[Plain]]:
    """A chunk, from the arguments of a task, and the arguments that are left."""
    given = list(arrays)
    mean = given.pop(0)
    variance = given.pop(0) if spread else None
    factor = given.pop(0) if ranked else None
    starts = [int(given.pop(0)[0]) for _ in range(cells)]
    sizes = mean.shape[outer:]
    region = tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    flat = mean.reshape(*mean.shape[:outer], -1).astype(np.float64)
    free: Plain | None = None if variance is None else variance.reshape(flat.shape).astype(np.float64)
    if unit:
        free = np.ones(flat.shape[-1:])
    low = None if factor is None else factor.reshape(*flat.shape, -1).astype(np.float64)
    there = ~np.isnan(flat)
    matrix = blocks(region)
    raw = free
    known, free, low = masked(flat, free, low, there)
    rows = operator(matrix, like=None, tied=not apart, apart=apart)
    return _Part(rows, matrix, flat, raw, there, known, free, low), given


def _sums(*arrays: Plain, ways: Callable[..., tuple[_Part, list[Plain]]], layout: _Layout, blocks: Blocks) -> Plain:
    part, _ = ways(*arrays, blocks=blocks)
    check_values(part.mean, part.variance, part.there)
    found = sums(part.rows, part.known, part.variance, part.factor)
    outer = part.mean.shape[:-1]
    gram = found.gram
    if part.variance is None:
        gram = np.zeros((layout.count, layout.count))
    cross = np.zeros((layout.count, 0)) if found.cross is None else found.cross
    packed = layout.pack(
        (found.product, 1), (found.magnitude, 1), (gram, 1 if layout.diagonal else 2), (cross, 2), outer=outer
    )
    if layout.gaps:
        there = tallied(part.matrix, part.there.reshape(-1, part.there.shape[-1]))
        packed = np.concatenate([packed, there.reshape(*outer, -1)], -1)
    cells = arrays[0].ndim - len(outer)
    return packed.reshape(*outer, *(1,) * cells, -1)


def _solved(total: Plain, targets: Plain, weights: Plain | None = None, /, *, layout: _Layout, noise: Plain) -> Plain:
    share = None
    if layout.gaps:
        total, there = np.split(total, [-3 * layout.count], -1)
        share = shares(there, layout.gaps)
        targets = np.where(share > 0.0, share * targets, np.nan)
    if weights is not None:
        share = weights if share is None else share * weights
    check_laws(np.zeros(1), targets)
    held, magnitude, gram, cross = layout.unpack(total)
    parts = Sums(held, gram, magnitude, cross if layout.rank else None)
    found = solve(parts, targets, noise=noise, diagonal=layout.diagonal, share=share)
    if found.dropped:
        log.warning("rows %s follow from the others and were dropped", ", ".join(map(str, found.dropped)))
    outer = total.shape[:-1]
    root = (found.root, 1 if layout.diagonal else 2)
    packed = layout.pack((found.value, 1), (np.zeros(layout.count), 1), root, (cross, 2), outer=outer)
    if found.noise_root is None or not layout.rank:
        return packed
    return np.concatenate(
        [packed, np.broadcast_to(found.noise_root, (*outer, layout.count, layout.count)).reshape(*outer, -1)], -1
    )


def _moved(
    *arrays: Plain,
    ways: Callable[..., tuple[_Part, list[Plain]]],
    layout: _Layout,
    which: str,
    kind: np.dtype[Any],
    rooted: bool,
    blocks: Blocks,
) -> Plain:
    part, (packed,) = ways(*arrays, blocks=blocks)
    noise_root = None
    if rooted:
        packed, last = np.split(packed, [-(layout.count**2)], -1)
        noise_root = last.reshape(*last.shape[:-1], layout.count, layout.count)
    value, _, root, cross = layout.unpack(packed)
    multipliers = Multipliers(value, root, cross if layout.rank else None, noise_root, diagonal=layout.diagonal)
    rows = part.rows
    if which == "mean" and part.factor is None:
        assert part.variance is not None
        found: Any = part.known - part.variance * rows.back(value)
    else:
        mean, variance, factor = moved(rows, part.known, part.variance, part.factor, multipliers)
        if factor is not None:
            variance = np.maximum(variance - (factor**2).sum(-1), 0.0)
        found = {"mean": mean, "variance": variance, "factor": factor}[which]
    block = arrays[0]
    if which == "factor":
        return np.asarray(found.reshape(*block.shape, -1).astype(kind))
    kept: Any = part.mean if which == "mean" else part.given if part.given is not None else np.nan
    full = found if part.there.all() else np.where(part.there, found, kept)
    return np.asarray(full.reshape(block.shape).astype(kind))
