"""A ridge regression whose coefficients turn with the seasons."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from thalweg import Fitted, HandshakeError, Learner, Samples, Signature, Training

from ._eofs import leading, modes_of, weighted_anomalies, whole
from ._estimate import as_estimate, check_history
from ._points import refuse_too_few, warn_of_few

Array = NDArray[Any]

_BATCH = 64
_ADVICE = "lower `modes`, or lengthen the training period"


class SeasonalRidgeSolver(Fitted):
    """The regression that `SeasonalRidge` fitted.

    State, by field: `mean` (cells), `to_modes` and `to_cells` (modes, cells), `offset` and `by` (2 modes) of the
    features, and `coefficients` (1 + 6 modes, lead, ...).
    """

    recent: int
    before: int

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        arrays = {}
        for name in wanted.names:
            patterns = tuple(self.state[f"{name}.{key}"] for key in ("mean", "to_modes", "to_cells"))
            offset, by, coefficients = (self.state[f"{name}.{key}"] for key in ("offset", "by", "coefficients"))
            features = _features(inputs[name], patterns, recent=self.recent, before=self.before)
            predictors = _predictors((features - offset) / by, _angle(inputs))
            estimate = np.tensordot(predictors, coefficients[:, : wanted.sizes["lead"]].astype(np.float64), 1)
            arrays[name] = estimate.astype(np.float32)
        return as_estimate(arrays, inputs)


class SeasonalRidge(Learner):
    r"""A ridge regression on the leading EOFs and their tendency, with coefficients that turn with the year.

    $\hat x(t + m) = a_m + \sum_j (b_{mj} + c_{mj} \cos\theta + d_{mj} \sin\theta) f_j(t)$, where $\theta$ is the angle
    of the calendar month of the last input. $f$ are, for each EOF, the mean of the `recent` last inputs, and that minus
    the mean of those `before`; standardised over the training samples. Minimised is the sum of squares plus `penalty`
    times that of all coefficients but $a$, for each lead and cell. EOFs are of all steps that the training windows
    touch, weighted by area, of the cells that are always there. Steps and inputs are those of the windows: with
    `every: n` there, n steps of the series.

    A sample with an input of which too little is there (see `linear-inverse-model`) is not learned from, and its
    estimate is missing. The regression of a cell and lead is over the samples whose truth is there; without any, its
    estimate is missing. Raises `HandshakeError` if the samples have no dates, too short a history, or are no more than
    the coefficients.
    """

    fitted: ClassVar[type[Fitted]] = SeasonalRidgeSolver

    modes: int = Field(4, ge=1, description="number of leading EOFs that are kept")
    recent: int = Field(3, ge=1, description="number of the last inputs that are averaged")
    before: int = Field(6, ge=1, description="number of inputs before those, whose mean is subtracted for the tendency")
    penalty: float = Field(
        30.0,
        gt=0,
        description="ridge penalty, as a number of samples: it weighs as much as so many samples without signal",
    )

    def check(self, given: Signature) -> None:
        check_history(given, self.recent + self.before, taker=self.name)

    def check_samples(self, train: Samples) -> None:
        self._enough(len(train))

    def fit(self, training: Training) -> SeasonalRidgeSolver:
        solver = SeasonalRidgeSolver(recent=self.recent, before=self.before)
        for name in training.wanted.names:
            solver.with_state({f"{name}.{key}": array for key, array in self._fit(training.train, name).items()})
        return solver

    def _fit(self, train: Samples, name: str) -> dict[str, Array]:
        anomalies, mean, weight = weighted_anomalies(train, name, taker=self.name)
        eofs = leading(whole(anomalies), self.modes, name, taker=self.name)
        to_modes = eofs * weight
        to_cells = np.divide(eofs, weight, out=np.zeros_like(eofs), where=weight > 0)
        patterns = (mean, to_modes, to_cells)
        slices = [slice(start, start + _BATCH) for start in range(0, len(train), _BATCH)]
        raw, angles = [], []
        for at in slices:
            inputs = train.inputs(at)
            raw.append(_features(inputs[name], patterns, recent=self.recent, before=self.before))
            angles.append(_angle(inputs))
        known = np.isfinite(np.concatenate(raw)).all(1)
        self._enough(int(known.sum()))
        warn_of_few(int(known.sum()), self._count, taker=self.name, of="training samples", advice=_ADVICE)
        offset, by = np.concatenate(raw)[known].mean(0), np.concatenate(raw)[known].std(0)
        by = np.where(by > 0, by, 1.0)
        ridge = _Ridge(self._count, self.penalty)
        for at, features, angle in zip(slices, raw, angles, strict=True):
            truth = train.truth(at)[name].transpose("sample", "lead", ...).values
            there = np.isfinite(features).all(1)
            ridge.add(_predictors((features - offset) / by, angle)[there], truth.reshape(len(truth), -1)[there])
        coefficients = ridge.solved().reshape(self._count, *truth.shape[1:]).astype(np.float32)
        return {
            "mean": mean,
            "to_modes": to_modes,
            "to_cells": to_cells,
            "offset": offset,
            "by": by,
            "coefficients": coefficients,
        }

    @property
    def _count(self) -> int:
        return 1 + 6 * self.modes

    def _enough(self, samples: int) -> None:
        refuse_too_few(samples, self._count, taker=self.name, of="training samples", advice=_ADVICE)


class _Ridge:
    """Normal equations of one regression for each column of the truth, over the rows where that column is there.

    Columns that lack the same rows (all cells of a month that was not observed) share a matrix.
    """

    def __init__(self, count: int, penalty: float) -> None:
        self._penalty = np.diag([0.0, *[penalty] * (count - 1)])
        self._squares, self._products = self._penalty.copy(), np.zeros((count, 1))
        self._rows: list[Array] = []
        self._absent: list[Array] = []

    def add(self, predictors: Array, truth: Array) -> None:
        """Rows `(sample, count)`, and their truth `(sample, column)`, NaN where it is missing."""
        absent = ~np.isfinite(truth)
        self._squares = self._squares + predictors.T @ predictors
        self._products = self._products + predictors.T @ np.where(absent, 0.0, truth).astype(np.float64)
        self._rows.append(predictors)
        self._absent.append(absent)

    def solved(self) -> Array:
        """Coefficients `(count, column)`; NaN for a column that is never there."""
        found = np.linalg.solve(self._squares, self._products)
        rows, absent = np.concatenate(self._rows), np.concatenate(self._absent)
        gaps = np.flatnonzero(absent.any(0))
        if not gaps.size:
            return np.asarray(found)
        packed, group = np.unique(np.packbits(absent[:, gaps], axis=0), axis=1, return_inverse=True)
        for number in range(packed.shape[1]):
            columns = gaps[group.reshape(-1) == number]
            there = ~absent[:, columns[0]]
            if there.any():
                squares = self._penalty + rows[there].T @ rows[there]
                found[:, columns] = np.linalg.solve(squares, self._products[:, columns])
            else:
                found[:, columns] = np.nan
        return np.asarray(found)


def _features(field: xr.DataArray, patterns: tuple[Array, ...], *, recent: int, before: int) -> Array:
    """`(sample, 2 modes)`: the mean of the recent inputs, and that minus the mean of those before."""
    mean, to_modes, to_cells = patterns
    values = field.transpose("sample", "lead", ...).values[:, -(recent + before) :]
    modes = modes_of(values.reshape(*values.shape[:2], -1), mean, to_modes, to_cells)
    now = modes[:, before:].mean(1)
    features: Array = np.concatenate([now, now - modes[:, :before].mean(1)], 1)
    return features


def _predictors(features: Array, angle: Array) -> Array:
    """`(sample, 1 + 6 modes)`: a constant, and the features times 1, cosine and sine of the calendar month."""
    made: Array = np.concatenate(
        [np.ones((len(features), 1)), features, features * np.cos(angle), features * np.sin(angle)], 1
    )
    return made


def _angle(inputs: xr.Dataset) -> Array:
    """Of the calendar month of the last input, `(sample, 1)`."""
    time = inputs.get("reference_time")
    try:
        months = time.dt.month.values  # type: ignore[union-attr]
    except (AttributeError, TypeError):
        raise HandshakeError(
            "seasonal-ridge needs the calendar month, but the samples have no dates",
            allowed="a `reference_time` of dates",
            advice="give the steps of the source dates, or use linear-inverse-model",
        ) from None
    angle: Array = 2 * np.pi * months[:, None] / 12
    return angle
