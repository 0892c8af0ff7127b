"""Samples of any size: graphs, point clouds, captions. Their elements lie in a row, without padding."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ..errors import HandshakeError
from .index import FORM, Split, refuse_cut
from .pairs import Positions
from .windows import labels

if TYPE_CHECKING:
    import xarray as xr

    from .index import Ints

MARK = "ragged_"
"""What the names of all its variables begin with."""
START, COUNT, SPLIT = f"{MARK}start_", f"{MARK}count_", f"{MARK}split"
SLACK = 8
"""An estimate's chunks are about that many to a batch: the part of the last one that is empty stays small."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Ragged(Positions):
    """Sample i has the elements `start[DIM][i] .. start[DIM][i] + count[DIM][i] - 1` along each ragged dim.

    A batch has the elements of its samples in a row: `field(DIM, ...)`, with the coordinates `DIM_sample(DIM)`, the
    position in the batch of the sample that an element belongs to, and `DIM_count(sample)`. Fields along `dim` have one
    position per sample, as those of `Pairs`.
    """

    kind = "ragged"

    dim: str
    start: Mapping[str, Ints]
    count: Mapping[str, Ints]
    counted: Mapping[str, int] | None = None
    """How long the ragged dims were when the index was made."""

    @classmethod
    def over(
        cls, dim: str, counts: Mapping[str, Sequence[int] | Ints], *, inputs: tuple[str, ...], truth: tuple[str, ...]
    ) -> Self:
        """Samples along `dim` whose elements follow one another: `counts[DIM][i]` of sample i along a ragged dim."""
        import numpy as np

        count = {name: np.asarray(each, dtype=np.int64) for name, each in counts.items()}
        sizes = {len(each) for each in count.values()}
        if len(sizes) != 1 or any((each < 0).any() for each in count.values()):
            raise HandshakeError(
                f"the counts of elements are of {', '.join(map(str, sorted(sizes))) or 'no'} samples, by dim "
                f"{', '.join(map(repr, count))}",
                allowed="for each ragged dim one number, 0 or more, of each sample",
                advice="count the elements of every sample along every ragged dim",
            )
        start = {name: np.cumsum(each) - each for name, each in count.items()}
        begin, row = _places(sizes.pop())
        return cls(dim=dim, inputs=inputs, truth=truth, start=start, count=count, begin=begin, row=row)

    def at(self, start: Mapping[str, Ints]) -> Self:
        """These samples with their elements at other places."""
        return replace(self, start=start)

    @property
    def variables(self) -> tuple[str, ...]:
        return (*(f"{prefix}{dim}" for prefix in (START, COUNT) for dim in self.count), SPLIT)

    @property
    def ragged(self) -> tuple[str, ...]:
        return tuple(self.count)

    @property
    def form(self) -> dict[str, Any]:
        named = {"inputs": list(self.inputs), "truth": list(self.truth)}
        return {"kind": self.kind, "dim": self.dim, "ragged": list(self.ragged), **named}

    def content(self, *splits: Split) -> str:
        import numpy as np

        found = hashlib.sha256(super().content(*splits).encode())
        for split in splits:
            for places in (*self.start.values(), *self.count.values()):
                found.update(np.ascontiguousarray(places[self.numbers(split)], dtype="<i8").tobytes())
        return found.hexdigest()[:32]

    def on(self, data: xr.Dataset) -> xr.Dataset:
        """`data` with this index. Raises `HandshakeError` where elements lie outside, or belong to no one sample."""
        counted = self.counted or {dim: data.sizes.get(dim, 0) for dim in self.ragged}
        for dim in self.ragged:
            _refuse_outside(self.start[dim], self.count[dim], dim=dim, size=counted[dim])
        for name in dict.fromkeys((*self.inputs, *self.truth)):
            _refuse_crossed(data[name], self)
        index: dict[str, Any] = {}
        for dim in self.ragged:
            # The attribute is that of the contiguous ragged arrays of the CF conventions.
            about = {"units": "1", "sample_dimension": dim}
            index[f"{COUNT}{dim}"] = (self.dim, self.count[dim], {**about, "long_name": f"elements along {dim}"})
            index[f"{START}{dim}"] = (self.dim, self.start[dim], {"units": "1", "long_name": f"first along {dim}"})
        if self.label is not None:
            index[SPLIT] = (self.dim, self.label.astype("int8"), labels())
        return data.assign(index).assign_attrs({FORM: {**self.form, "counted": dict(counted)}})

    @classmethod
    def read(cls, data: xr.Dataset, form: dict[str, Any]) -> Self:
        """The index that `on` wrote. Raises `HandshakeError` if elements were cut since; samples may be."""
        import numpy as np

        refuse_cut(form.get("counted") or {}, data)
        dim = str(form["dim"])
        start, count = (
            {each: data[f"{prefix}{each}"].values.astype(np.int64) for each in form["ragged"]}
            for prefix in (START, COUNT)
        )
        begin, row = _places(data.sizes[dim])
        return cls(
            dim=dim,
            begin=begin,
            row=row,
            label=data[SPLIT].values.astype(np.int64) if SPLIT in data else None,
            inputs=tuple(form.get("inputs") or ()),
            truth=tuple(form.get("truth") or ()),
            start=start,
            count=count,
            counted=form.get("counted"),
        )


@dataclass(frozen=True, eq=False)
class Slots:
    """Where batches of whole samples are written along a ragged dim: each begins a chunk, which so has one writer.

    Between a batch and the next fewer elements than a chunk are left empty.
    """

    chunk: int
    size: int
    start: Ints
    """Of each sample, its first element."""
    begin: Ints
    """Of each batch, its first element; `size` after the last."""

    @classmethod
    def of(cls, count: Ints, *, batch: int) -> Slots:
        """Slots of samples with these counts, `batch` of them written at once."""
        import numpy as np

        if not len(count):
            return cls(1, 1, count, np.zeros(1, dtype=np.int64))
        firsts = np.arange(0, len(count), batch)
        held = np.add.reduceat(count, firsts)
        chunk = max(1, int(-(-int(held.sum()) // (SLACK * len(held)))) if len(held) > 1 else int(held.sum()))
        begin = np.concatenate([[0], np.cumsum(-(-held // chunk) * chunk)]).astype(np.int64)
        within = np.cumsum(count) - count
        start = within - within[firsts][np.arange(len(count)) // batch] + begin[np.arange(len(count)) // batch]
        return cls(chunk, max(int(begin[-1]), chunk), start.astype(np.int64), begin)

    def region(self, batch: int) -> slice:
        """The whole chunks that a batch writes."""
        return slice(int(self.begin[batch]), int(self.begin[batch + 1]))


def _places(count: int) -> tuple[Ints, Ints]:
    import numpy as np

    return np.arange(count), np.zeros(count, dtype=np.int64)


def _refuse_outside(start: Ints, count: Ints, *, dim: str, size: int) -> None:
    end = int((start + count).max(initial=0))
    if end > size or int(start.min(initial=0)) < 0:
        raise HandshakeError(
            f"samples have elements up to {end} along {dim!r}, which has {size}",
            allowed="elements that are there",
            advice=f"count what each sample has along {dim!r}",
        )


def _refuse_crossed(array: xr.DataArray, index: Ragged) -> None:
    own = [dim for dim in (index.dim, *index.ragged) if dim in array.dims]
    if len(own) > 1:
        raise HandshakeError(
            f"{str(array.name)!r} lies along {' and '.join(map(repr, own))}",
            allowed="one of the dims of samples and their elements in a field",
            advice="lay its elements in a row along one ragged dim",
        )
