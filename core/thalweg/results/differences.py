"""Paired differences of scores, with an interval from blocks of samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    ones, alone = np.ones((1, count)), np.ones((count, count)) - np.eye(count)
    whole = _differences(metric, one, other, ones)
    left_out = _differences(metric, one, other, alone) if count > 1 else {}
    plans: dict[int, tuple[Mapping[str, Array], float]] = {}
    for row, value in whole.items():
        influence = count * value[0] - (count - 1) * left_out[row] if count > 1 else np.zeros(count)
        size = block or length(influence, series)
        if size not in plans:
            drawn, blocks = weights(series, size, draws=draws, seed=seed)
            plans[size] = _differences(metric, one, other, drawn), blocks
        found, blocks = plans[size]
        yield Difference(row, float(value[0]), float(half_width(found[row][:, None], blocks)[0]), size, blocks)


def _differences(metric: Metric, one: Tally, other: Tally, weight: Array) -> dict[str, Array]:
    """Differences of every entry of a score, `(draw,)`, where each sample counts as often as `weight` says."""
    values = [_values(metric, each, weight) for each in (one, other)]
    return {row: values[1][row] - values[0][row] for row in values[0]}


def _values(metric: Metric, totals: Tally, weight: Array) -> dict[str, Array]:
    import xarray as xr

    drawn = xr.DataArray(weight, dims=("draw", "sample"))
    weighed = {
        name: Totals(xr.dot(drawn, each.sum, dim="sample"), xr.dot(drawn, each.count, dim="sample"))
        for name, each in totals.items()
    }
    if metric.overall == "mean":
        value = call(metric, metric.value, {name: each.mean() for name, each in weighed.items()})
        value = value.mean([dim for dim in value.dims if dim == "lead"], skipna=False)
    else:
        value = call(metric, metric.value, {name: each.over("lead").mean() for name, each in weighed.items()})
    found = {}
    for entry, each, _ in entries(value, None, kept=("draw",)):
        found["/".join(f"{key:g}" if isinstance(key, float) else key for _, key in entry)] = each.values
    return found
