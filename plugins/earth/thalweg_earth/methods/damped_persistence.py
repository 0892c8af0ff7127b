"""Persistence that decays as fast as it did in the past."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from thalweg import EstimateError, Fitted, HandshakeError, Learner, Samples, Signature, Training

from .._box import within
from ._estimate import as_estimate, check_history, last_mean
from ._points import refuse_too_few, warn_of_few

Array = NDArray[Any]
Box = dict[str, tuple[float, float]]

_BATCH = 64
_ADVICE = "lengthen the training period, or fit one line for all months with `by: none`"


class DampedPersistenceSolver(Fitted):
    """The lines that `DampedPersistence` fitted: `slope` and `intercept` (group, lead, ...) for each field.

    Raises `EstimateError` for a calendar month that was not in the training period.
    """

    average: int
    by: Literal["month", "none"]
    box: Box

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        groups = _groups(inputs, self.by, inputs.sizes["sample"])
        arrays = {}
        for name in wanted.names:
            slope, intercept = self.state[f"{name}.slope"], self.state[f"{name}.intercept"]
            unseen = sorted(set((groups[~self.state[f"{name}.seen"][groups]] + 1).tolist()))
            if unseen:
                raise EstimateError(
                    f"damped persistence has no line for calendar month {', '.join(map(str, unseen))}",
                    allowed="months in which a training window's inputs end",
                    advice="lengthen the training period, or fit one line for all months with `by: none`",
                )
            steps = wanted.sizes["lead"]
            predictor = _predictor(inputs[name], self.average, self.box)
            line = slope[groups, :steps] * predictor[:, None] + intercept[groups, :steps]
            arrays[name] = line.astype(np.float32)
        return as_estimate(arrays, inputs)


class DampedPersistence(Learner):
    r"""A fitted line from the mean of the last inputs to each lead: $\hat x(t+m) = a_m \bar x(t) + b_m$.

    One least-squares line per cell, lead and calendar month of the last input, from that cell's own past; with `box`,
    from the plain mean over the box, so that the estimate's mean over the box is the regression of the box's index.
    A predictor is missing where one of the inputs is, and then the estimate is, too; of a box it is the mean over the
    cells that are there. Where the predictor never varies the slope is 0; a cell without values stays missing. Raises
    `HandshakeError` if the samples have no dates (`by: month`), if a line has no more than two points, or the box holds
    no cell.
    """

    fitted: ClassVar[type[Fitted]] = DampedPersistenceSolver

    average: int = Field(3, ge=1, description="number of the last inputs that are averaged")
    by: Literal["month", "none"] = Field(
        "month", description="whether a line is fitted for each calendar month of the origin, or one for all"
    )
    box: Box = Field(
        default_factory=dict,
        description="bounds by coordinate, {latitude: [-5, 5], longitude: [190, 240]}, edges included, longitudes "
        "eastward: the predictor is the mean of the cells inside",
    )

    def check(self, given: Signature) -> None:
        check_history(given, self.average, taker=self.name)

    def check_samples(self, train: Samples) -> None:
        labels = _groups(xr.Dataset(coords=train.coordinates("inputs")), self.by, len(train))
        for group, count in enumerate(np.bincount(labels)):
            if count:
                refuse_too_few(int(count), 2, taker=self.name, of=self._points(group), advice=_ADVICE, per=self._per)

    @property
    def _per(self) -> str:
        return "calendar month" if self.by == "month" else ""

    def _points(self, group: int) -> str:
        return f"training samples whose inputs end in month {group + 1}" if self.by == "month" else "training samples"

    def fit(self, training: Training) -> DampedPersistenceSolver:
        train = training.train
        state: dict[str, Array] = {}
        names = training.wanted.names
        sums: dict[str, Array] = {}
        for start in range(0, len(train), _BATCH):
            at = slice(start, start + _BATCH)
            inputs, truth = train.inputs(at), train.truth(at)
            groups = _groups(inputs, self.by, inputs.sizes["sample"])
            for name in names:
                moments = _moments(_predictor(inputs[name], self.average, self.box), truth[name])
                if name not in sums:
                    sums[name] = np.zeros((5, 12 if self.by == "month" else 1, *moments.shape[2:]))
                for group in np.unique(groups):
                    sums[name][:, group] += moments[:, groups == group].sum(1)
        for name in names:
            state[f"{name}.slope"], state[f"{name}.intercept"] = _lines(sums[name])
            count = sums[name][0].max(axis=tuple(range(1, sums[name].ndim - 1)))
            seen = np.flatnonzero(count)
            if seen.size:
                fewest = int(seen[count[seen].argmin()])
                points = f"{name!r}, {self._points(fewest)}"
                warn_of_few(int(count[fewest]), 2, taker=self.name, of=points, advice=_ADVICE, per=self._per)
            state[f"{name}.seen"] = np.asarray(sums[name][0].any(axis=tuple(range(1, sums[name].ndim - 1))))
        solver = DampedPersistenceSolver(average=self.average, by=self.by, box=self.box)
        solver.with_state(state)
        return solver


def _groups(inputs: xr.Dataset, by: str, count: int) -> Array:
    if by == "none":
        return np.zeros(count, int)
    time = inputs.get("reference_time")
    try:
        months: Array = time.dt.month.values  # type: ignore[union-attr]
    except (AttributeError, TypeError):
        raise HandshakeError(
            "damped-persistence fits by calendar month, but the samples have no dates",
            allowed="a `reference_time` of dates",
            advice="set `by: none`",
        ) from None
    return months - 1


def _predictor(field: xr.DataArray, average: int, box: Box) -> Array:
    """`(sample, ...)`; the dims after `sample` have size 1 where the predictor is the mean over a box."""
    mean = last_mean(field, average)
    if not box:
        return mean
    inside = xr.DataArray(True)
    for name, (low, high) in box.items():
        if name not in field.coords:
            raise HandshakeError(
                f"the box of damped-persistence names {name!r}",
                allowed=f"a coordinate of {field.name!r}: {', '.join(map(str, field.coords))}",
                advice="name its bounds by one of these",
            )
        inside = inside & field[name].copy(data=within(field[name], low, high)).reset_coords(drop=True)
    like = field.transpose("sample", "lead", ...).isel(sample=0, lead=0, drop=True)
    weight = inside.broadcast_like(like).transpose(*like.dims).values
    if not weight.any():
        raise HandshakeError(
            f"no cell of {field.name!r} lies inside the box {box!r}",
            allowed=", ".join(f"{name} {float(field[name].min())} to {float(field[name].max())}" for name in box),
            advice="move the box, or select a field that covers it",
        )
    cells = mean[:, weight]
    there = np.isfinite(cells)
    count = there.sum(1)
    index: Array = np.where(there, cells, 0.0).sum(1) / np.where(count > 0, count, np.nan)
    return index.reshape(-1, *(1 for _ in like.dims))


def _moments(predictor: Array, truth: xr.DataArray) -> Array:
    """`n, x, y, x x, x y` by sample, lead and cell, where both are there."""
    y = truth.transpose("sample", "lead", ...).values.astype(np.float64)
    x = np.broadcast_to(predictor[:, None], y.shape)
    there = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(there, x, 0.0), np.where(there, y, 0.0)
    return np.stack([there.astype(np.float64), x, y, x * x, x * y])


def _lines(sums: Array) -> tuple[Array, Array]:
    count, x, y, xx, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = x / count, y / count
        spread = xx / count - mean_x**2
        varies = spread > 1e-12 * np.maximum(xx / count, 1e-300)
        slope = np.where(varies, (xy / count - mean_x * mean_y) / spread, 0.0)
        return slope.astype(np.float32), (mean_y - slope * mean_x).astype(np.float32)
