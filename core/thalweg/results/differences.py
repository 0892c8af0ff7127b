"""Paired differences of scores, with an interval from blocks of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..components import Metric
from ..components.calls import call
from ..components.totals import Totals
from .bootstrap import FEW, Series, half_width, length, weights
from .records import entries
from .scoring import Tally

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Difference:
    """How much a score is above that of the first column, on the same samples, and half the width of the interval."""

    row: str
    value: float
    half: float
    block: int
    blocks: float

    @property
    def few(self) -> bool:
        """Whether the interval rests on too few blocks to be trusted."""
        return self.blocks < FEW


def difference(
    metric: Metric,
    one: Tally,
    other: Tally,
    *,
    keys: xr.Dataset,
    block: int | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Iterator[Difference]:
    """The value of `other` less that of `one`, over all leads, with an interval from blocks of samples.

    `one` and `other` are totals along `sample`, of the same samples; `keys` their coordinates.
    """
    count = next(iter(one.values())).sum.sizes["sample"]
    series = Series.of(keys, count)
    whole = _differences(metric, one, other, lambda each: _drawn(each, np.ones((1, count))))
    left_out = _differences(metric, one, other, _left_out) if count > 1 else {}
    plans: dict[int, tuple[Mapping[str, Array], float]] = {}
    for row, value in whole.items():
        influence = count * value[0] - (count - 1) * left_out[row] if count > 1 else np.zeros(count)
        size = block or length(influence, series)
        if size not in plans:
            drawn, blocks = weights(series, size, draws=draws, seed=seed)
            plans[size] = _differences(metric, one, other, partial(_drawn, weight=drawn)), blocks
        found, blocks = plans[size]
        yield Difference(row, float(value[0]), float(half_width(found[row][:, None], blocks)[0]), size, blocks)


def _drawn(array: xr.DataArray, weight: Array) -> xr.DataArray:
    """The sum over samples in each draw, where a sample counts as often as `weight`, `(draw, sample)`, says."""
    import xarray as xr

    found: xr.DataArray = xr.dot(xr.DataArray(weight, dims=("draw", "sample")), array, dim="sample")
    return found


def _left_out(array: xr.DataArray) -> xr.DataArray:
    """The sum over all samples but one, a draw for each: no square of their number is held."""
    return (array.sum("sample") - array).rename(sample="draw").drop_vars("draw", errors="ignore")


def _differences(
    metric: Metric, one: Tally, other: Tally, added: Callable[[xr.DataArray], xr.DataArray]
) -> dict[str, Array]:
    """Differences of every entry of a score, `(draw,)`; `added` adds up samples."""
    values = [_values(metric, each, added) for each in (one, other)]
    return {row: values[1][row] - values[0][row] for row in values[0]}


def _values(metric: Metric, totals: Tally, added: Callable[[xr.DataArray], xr.DataArray]) -> dict[str, Array]:
    weighed = {name: Totals(added(each.sum), added(each.count)) for name, each in totals.items()}
    if metric.overall == "mean":
        value = call(metric, metric.value, {name: each.mean() for name, each in weighed.items()})
        value = value.mean([dim for dim in value.dims if dim == "lead"], skipna=False)
    else:
        value = call(metric, metric.value, {name: each.over("lead").mean() for name, each in weighed.items()})
    found = {}
    for entry, each, _ in entries(value, None, kept=("draw",)):
        found["/".join(f"{key:g}" if isinstance(key, float) else key for _, key in entry)] = each.values
    return found
