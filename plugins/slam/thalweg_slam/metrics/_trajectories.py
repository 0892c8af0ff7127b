"""The trajectories of a batch, and what is told of an error over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr

from ..layout import unflat
from ..poses import Array
from ..trajectory import Trajectory


def pairs(estimate: xr.Dataset, truth: xr.Dataset) -> Iterator[tuple[Trajectory, Trajectory]]:
    """Each trajectory of each sample, estimated and true, without padding."""
    numbers = truth["trajectory"].transpose("sample", "node").values
    both = [_arrays(estimate), _arrays(truth)]
    for i, row in enumerate(numbers):
        for number in range(int(row.max(initial=-1)) + 1):
            at = np.flatnonzero(row == number)
            if len(at):
                one, other = (Trajectory(position[i, at], unflat(rotation[i, at])) for position, rotation in both)
                yield one, other


def _arrays(data: xr.Dataset) -> tuple[Array, Array]:
    position = data["position"].transpose("sample", "node", "axis").values
    return position, data["rotation"].transpose("sample", "node", "turn").values


def summary(scores: Sequence[Mapping[str, float]], *, units: str) -> xr.DataArray:
    """Statistics by trajectory, over trajectories: mean, largest, 99th and 90th percentile; of one, itself."""
    names = list(scores[0])
    values = np.array([[score[name] for name in names] for score in scores])
    over = {"mean": values.mean(axis=0)}
    if len(values) > 1:
        over |= {"max": values.max(axis=0), "p99": _percentile(values, 99), "p90": _percentile(values, 90)}
    return xr.DataArray(
        np.stack(list(over.values()), axis=1),
        dims=("statistic", "over"),
        coords={"statistic": names, "over": list(over)},
        attrs={"units": units},
    )


def _percentile(values: Array, percent: float) -> Array:
    return np.asarray(np.percentile(values, percent, axis=0))
