"""A digest of the values that samples hold: what was learned from, whatever lies around it.

A source that grew, or another test period of another file, leaves these values as they were: what was learned from
them is found by this digest, and not learned again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..stores.arrays import reading
from ._rows import Elements
from .index import SampleIndex, Split
from .placed import plain_bytes
from .prepared import Prepared
from .ragged import Ragged
from .samples import Samples

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

BLOCK = 64 * 2**20
"""Bytes of a field that are read at a time."""


def values_of(prepared: Prepared, *splits: Split) -> str:
    """A digest of all that samples of these splits may be learned from; reads it once.

    Fields at the steps that the samples cover (those between touched steps too), static fields, attributes of fields,
    coordinates, and where the samples lie among those steps.
    """
    with reading(prepared.preprocess, prepared.ingest, prepared.index):
        return digest_of(prepared.open(), *splits)


def digest_of(data: xr.Dataset, *splits: Split) -> str:
    """The digest of a dataset with an index of samples."""
    whole = hashlib.sha256()
    for split in splits:
        samples = Samples.of(data, split)
        whole.update(f"{split} {len(samples)} {json.dumps(samples.index.form, sort_keys=True)}".encode())
        if not len(samples):
            continue
        index, covered = samples.index, samples.index.covered(samples.numbers, data)
        _places(whole, index, samples.numbers, covered)
        names = {*index.names("inputs", data), *index.names("truth", data)}
        coordinates = {str(name) for each in names for name in data[each].coords}
        for name in [*sorted(names), *sorted(coordinates)]:
            variable = data.variables[name]
            # Not the shapes of blocks: where they are cut depends on what lies around.
            moving = {index.dim, index.series, index.along, *_elements(index, samples.numbers)}
            others = [size for dim, size in variable.sizes.items() if dim not in moving]
            whole.update(f"{name} {variable.dims} {variable.dtype} {others} {_plain(variable.attrs)}".encode())
            for block in _blocks(variable, index, samples.numbers, covered):
                whole.update(plain_bytes(block))
    return whole.hexdigest()[:32]


def _places(whole: Any, index: SampleIndex, numbers: np.ndarray[Any, Any], covered: np.ndarray[Any, Any]) -> None:
    """Where samples lie among the covered steps, and where those are not contiguous."""
    import numpy as np

    rank = covered.cumsum(axis=1) - 1
    rows = np.flatnonzero(covered.any(axis=1))
    row, begin = index.row[numbers], index.begin[numbers]
    edges = [np.flatnonzero(np.diff(np.flatnonzero(covered[each])) > 1) for each in rows]
    # Of ragged dims how many elements each sample has, and where they lie among those that are read.
    counts = [each.count for each in _elements(index, numbers).values()]
    starts = [_among(each) for each in _elements(index, numbers).values()]
    for each in (np.searchsorted(rows, row), rank[row, begin], *edges, *counts, *starts):
        whole.update(np.ascontiguousarray(each, dtype="<i8").tobytes())


def _among(elements: Elements) -> np.ndarray[Any, Any]:
    """Of each sample its first element, counted among those that some sample has; 0 of one without elements."""
    import numpy as np

    found, before = np.zeros(len(elements.count), dtype=np.int64), 0
    for low, high, members in elements.stretches():
        found[members] = elements.start[members] - low + before
        before += high - low
    return found


def _blocks(
    variable: xr.Variable, index: SampleIndex, numbers: np.ndarray[Any, Any], covered: np.ndarray[Any, Any]
) -> Iterator[xr.Variable]:
    """What the samples cover of a variable: runs of steps of each series, in blocks."""
    import numpy as np

    if index.along is not None and index.along != index.dim and index.along in variable.dims:
        # A coordinate of the samples themselves.
        yield variable.isel({index.along: numbers})
        return
    for ragged, each in _elements(index, numbers).items():
        if ragged in variable.dims:
            most = max(1, BLOCK * variable.sizes[ragged] // max(1, variable.nbytes))
            for low, high, _ in each.stretches():
                for start in range(low, high, most):
                    yield variable.isel({ragged: slice(start, min(start + most, high))})
            return
    dim, series = index.dim, index.series
    if dim not in variable.dims:
        if series is not None and series in variable.dims:
            variable = variable.isel({series: np.flatnonzero(covered.any(axis=1))})
        yield variable
        return
    of_series = series is not None and series in variable.dims
    steps = max(1, BLOCK * variable.sizes[dim] // max(1, variable.nbytes)) * (
        variable.sizes[series] if of_series else 1
    )
    for row in np.flatnonzero(covered.any(axis=1)) if of_series else (None,):
        own = variable if row is None else variable.isel({series: int(row)})
        there = np.flatnonzero(covered.any(axis=0) if row is None else covered[row])
        for run in np.split(there, np.flatnonzero(np.diff(there) > 1) + 1):
            for start in range(int(run[0]), int(run[-1]) + 1, steps):
                yield own.isel({dim: slice(start, min(start + steps, int(run[-1]) + 1))})


def _elements(index: SampleIndex, numbers: np.ndarray[Any, Any]) -> dict[str, Elements]:
    return Elements.of(index, numbers) if isinstance(index, Ragged) else {}


def _plain(attrs: Mapping[Any, Any]) -> str:
    """Attributes in words, arrays with all their values."""
    import numpy as np

    return repr([(str(key), np.asarray(attrs[key]).tolist()) for key in sorted(attrs, key=str)])
