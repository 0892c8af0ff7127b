"""Blocks of samples that follow one another in time, drawn with replacement: the error of a difference of scores."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..quantities import texts

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]

FEWEST = 8
"""Blocks are not made longer than leaves so many, unless windows overlap for longer."""
FEW = 10
"""Below so many blocks an interval is marked: it rests on too little."""


@dataclass(frozen=True)
class Series:
    """Samples in order: unbroken series, and how many samples after one still share steps of the truth with it."""

    segments: tuple[Array, ...]
    """Numbers of the samples of each unbroken series, in order of time."""
    overlap: int

    @classmethod
    def of(cls, keys: xr.Dataset, samples: int) -> Series:
        """From the coordinates of the samples; each by itself where they have no time."""
        names = [str(name) for name, each in keys.variables.items() if each.dims == ("sample",)]
        times = keys["reference_time"].values if "reference_time" in names else None
        if times is None:
            return cls(tuple(np.array([i]) for i in range(samples)), 1)
        when = _numbers(times)
        labels = [texts(keys[name].values) for name in names if _labels(keys[name])]
        rows = np.array(["/".join(each) for each in zip(*labels, strict=True)]) if labels else np.zeros(samples, str)
        order = np.lexsort((when, rows))
        steps, same = np.diff(when[order]), rows[order][1:] == rows[order][:-1]
        inside = steps[same & (steps > 0)]
        usual = float(np.median(inside)) if inside.size else 1.0
        cut = np.flatnonzero(~same | (steps > 1.5 * usual)) + 1
        segments = tuple(np.split(order, cut))
        return cls(segments, max(1, int(np.ceil(_span(keys, when) / usual - 1e-9))))


def _labels(array: xr.DataArray) -> bool:
    return array.dtype.kind in "OUSTib" and str(array.name) != "reference_time" and "time" not in str(array.name)


def _numbers(times: Array) -> Array:
    if times.dtype.kind == "M":
        return times.astype("datetime64[s]").astype("float64")
    if times.dtype.kind == "O":
        # cftime: days of its own calendar.
        return np.array([each.toordinal(fractional=True) for each in times.ravel()], "float64")
    return times.astype("float64")


def _span(keys: xr.Dataset, when: Array) -> float:
    """How long the truth of a sample is, from its first step to its last, and one step more."""
    valid = keys.get("valid_time")
    if valid is None or valid.dims[:1] != ("sample",) or valid.ndim != 2:
        return 0.0
    last = _numbers(valid.values[:, -1])
    return float(np.median(last - when)) if last.size else 0.0


def length(influence: Array, series: Series) -> int:
    """How many samples a block holds: as long as the differences of samples remember, and as windows overlap.

    `influence` is what each sample adds to the difference. Its correlation from a sample to the next, r, gives
    5 (1 + r) / (1 - r) samples, in which r^k has faded.
    """
    known = np.where(np.isfinite(influence), influence, 0.0)
    known = known - known.mean()
    products = [known[each[:-1]] * known[each[1:]] for each in series.segments if len(each) > 1]
    power = float(np.dot(known, known)) / max(len(known), 1)
    r = float(np.mean(np.concatenate(products))) / power if power and products else 0.0
    r = min(max(r, 0.0), 0.999)
    memory = 1 if r < 2 / np.sqrt(max(len(known), 1)) else int(np.ceil(5 * (1 + r) / (1 - r)))
    return max(series.overlap, min(memory, max(1, len(known) // FEWEST)))


def weights(series: Series, block: int, *, draws: int, seed: int) -> tuple[Array, float]:
    """How often each sample is drawn, `(draw, sample)`, and how many blocks a draw holds.

    A block begins at any sample, and stays inside its unbroken series, of which the end is followed by the beginning.
    """
    random = np.random.default_rng(seed)
    count = sum(map(len, series.segments))
    lengths = np.concatenate([np.full(len(each), min(block, len(each))) for each in series.segments])
    blocks = count / float(np.mean(lengths))
    # Where each sample's block lies: positions in `order` from `first` on, circular in the segment.
    order = np.concatenate(series.segments)
    start = np.concatenate([np.full(len(each), at) for each, at in zip(series.segments, _starts(series), strict=True)])
    size = np.concatenate([np.full(len(each), len(each)) for each in series.segments])
    found = np.zeros((draws, count))
    drawn = max(1, round(blocks))
    for i in range(draws):
        first = random.integers(0, count, drawn)
        for k in range(int(lengths.max())):
            at = first[lengths[first] > k]
            place = start[at] + (at - start[at] + k) % size[at]
            np.add.at(found[i], order[place], 1.0)
    return found, blocks


def _starts(series: Series) -> list[int]:
    sizes = [len(each) for each in series.segments]
    return list(itertools.accumulate(sizes, initial=0))[:-1]


def half_width(drawn: Array, blocks: float, *, level: float = 0.95) -> Array:
    """Half the width of the interval along `draw`, the first dim: Student's t with the number of blocks less one.

    Percentiles of the draws hold too little where blocks are few; NaN for fewer than two blocks.
    """
    from scipy.stats import t

    if blocks < 2:
        return np.full(drawn.shape[1:], np.nan)
    error = np.std(drawn, axis=0, ddof=1) * np.sqrt(blocks / (blocks - 1))
    return np.asarray(error * t.ppf((1 + level) / 2, blocks - 1))
