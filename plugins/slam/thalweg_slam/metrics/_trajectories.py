"""The trajectories of a batch, and what is told of an error over all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..layout import own, unflat
from ..poses import Array
from ..trajectory import Trajectory

log = logging.getLogger("thalweg")


@dataclass(frozen=True)
class Scored:
    """The poses of a trajectory whose truth is known."""

    estimate: Trajectory
    truth: Trajectory
    poses: int
    """All poses of the trajectory."""

    def __len__(self) -> int:
        return len(self.estimate)


def pairs(estimate: xr.Dataset, truth: xr.Dataset) -> Iterator[Scored]:
    """Each trajectory of each sample, estimated and true, without poses whose truth is not known.

    Says which estimated poses are not finite: their errors are NaN.
    """
    for i in range(truth.sizes["sample"]):
        row = truth["trajectory"].values[own(truth, "node", i)]
        both = [_arrays(each, own(truth, "node", i)) for each in (estimate, truth)]
        for number in range(int(row.max(initial=-1)) + 1):
            at = np.flatnonzero(row == number)
            known = at[np.isfinite(both[1][0][at]).all(axis=1) & np.isfinite(both[1][1][at]).all(axis=1)]
            if len(at):
                one, other = (Trajectory(position[known], unflat(rotation[known])) for position, rotation in both)
                bad = ~np.isfinite(np.column_stack([one.translation, one.rotation])).all(axis=1)
                if bad.any():
                    first = ", ".join(map(str, known[bad][:5].tolist()))
                    log.warning("sample %d: %d estimated poses are not finite: %s; errors are NaN", i, bad.sum(), first)
                yield Scored(one, other, len(at))


def _arrays(data: xr.Dataset, at: slice) -> tuple[Array, Array]:
    position = data["position"].transpose("node", "axis").values[at]
    return position, data["rotation"].transpose("node", "turn").values[at]


def summary(scores: Sequence[Mapping[str, float]], *, units: str, told: Mapping[str, float]) -> xr.DataArray:
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
        attrs={"units": units, "told": dict(told)},
    )


def told(estimate: xr.Dataset, scored: Sequence[Scored]) -> dict[str, float]:
    """What is recorded beside errors: how many poses they are of, and what the solver says of its solutions.

    `matched` of `poses` have a truth. `converged`: the part of the samples that did; `iterations`: the most of a
    sample; `chi2-per-freedom`: the mean over samples, near 1 where noise and information agree.
    """
    found = {"matched": float(sum(map(len, scored))), "poses": float(sum(each.poses for each in scored))}
    if "converged" in estimate:
        found["converged"] = float(estimate["converged"].mean())
    if "iterations" in estimate:
        found["iterations"] = float(estimate["iterations"].max())
    if "freedom" in estimate and "chi2" in estimate:
        ratio = estimate["chi2"] / estimate["freedom"].where(estimate["freedom"] > 0)
        found["chi2-per-freedom"] = float(ratio.mean())
    return found


def _percentile(values: Array, percent: float) -> Array:
    return np.asarray(np.percentile(values, percent, axis=0))
