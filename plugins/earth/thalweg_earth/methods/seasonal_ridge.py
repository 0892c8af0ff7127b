"""A ridge regression whose coefficients turn with the seasons."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from thalweg import Fitted, Learner, Samples, Signature, Training
from thalweg.errors import HandshakeError

from ._eofs import leading, weighted_anomalies
from ._estimate import as_estimate, check_history

Array = NDArray[Any]

_BATCH = 64


class SeasonalRidgeSolver(Fitted):
    """The regression that `SeasonalRidge` fitted.

    State, by field: `mean` (cells), `to_modes` (modes, cells), `offset` and `by` (2 modes) of the features, and
    `coefficients` (1 + 6 modes, lead, ...).
    """

    recent: int
    before: int

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        arrays = {}
        for name in wanted.names:
            mean, to_modes, offset, by, coefficients = (
                self.state[f"{name}.{key}"] for key in ("mean", "to_modes", "offset", "by", "coefficients")
            )
            features = _features(inputs[name], mean, to_modes, recent=self.recent, before=self.before)
            predictors = _predictors((features - offset) / by, _angle(inputs))
            estimate = np.tensordot(predictors, coefficients[:, : wanted.sizes["lead"]].astype(np.float64), 1)
            known = np.isfinite(mean).reshape(estimate.shape[2:])
            arrays[name] = np.where(known, estimate, np.nan).astype(np.float32)
        return as_estimate(arrays, inputs)


class SeasonalRidge(Learner):
    r"""A ridge regression on the leading EOFs and their tendency, with coefficients that turn with the year.

    $\hat x(t + m) = a_m + \sum_j (b_{mj} + c_{mj} \cos\theta + d_{mj} \sin\theta) f_j(t)$, where $\theta$ is the angle
    of the calendar month of the last input. $f$ are, for each EOF, the mean of the `recent` last inputs, and that minus
    the mean of those `before`; standardised over the training samples. Minimised is the sum of squares plus `penalty`
    times that of all coefficients but $a$, for each lead and cell. EOFs are of all steps that the training windows
    touch, weighted by area; a cell that is missing at times counts as its mean then, and stays missing if it is never
    there. Raises `HandshakeError` if the samples have no dates, or too short a history.
    """

    fitted: ClassVar[type[Fitted]] = SeasonalRidgeSolver

    modes: int = Field(4, ge=1, description="leading EOFs kept")
    recent: int = Field(3, ge=1, description="last inputs that are averaged")
    before: int = Field(6, ge=1, description="inputs before them, from whose mean the tendency is counted")
    penalty: float = Field(30.0, gt=0, description="in samples: that many more that say nothing")

    def check(self, given: Signature) -> None:
        check_history(given, self.recent + self.before, taker=self.name)

    def fit(self, training: Training) -> SeasonalRidgeSolver:
        solver = SeasonalRidgeSolver(recent=self.recent, before=self.before)
        for name in training.wanted.names:
            solver.with_state({f"{name}.{key}": array for key, array in self._fit(training.train, name).items()})
        return solver

    def _fit(self, train: Samples, name: str) -> dict[str, Array]:
        anomalies, mean, weight = weighted_anomalies(train, name, taker=self.name)
        to_modes = leading(np.concatenate(anomalies), self.modes, name, taker=self.name) * weight
        slices = [slice(start, start + _BATCH) for start in range(0, len(train), _BATCH)]
        features, angles = [], []
        for at in slices:
            inputs = train.inputs(at)
            features.append(_features(inputs[name], mean, to_modes, recent=self.recent, before=self.before))
            angles.append(_angle(inputs))
        offset, by = np.concatenate(features).mean(0), np.concatenate(features).std(0)
        by = np.where(by > 0, by, 1.0)
        count = 1 + 6 * self.modes
        squares = np.diag([0.0, *[self.penalty] * (count - 1)])
        products: Array = np.zeros((count, 1))
        for at, raw, angle in zip(slices, features, angles, strict=True):
            one = _predictors((raw - offset) / by, angle)
            truth = train.truth(at)[name].transpose("sample", "lead", ...).values
            squares = squares + one.T @ one
            products = products + one.T @ np.nan_to_num(truth.reshape(len(one), -1), nan=0.0).astype(np.float64)
        coefficients = np.linalg.solve(squares, products).reshape(count, *truth.shape[1:]).astype(np.float32)
        return {"mean": mean, "to_modes": to_modes, "offset": offset, "by": by, "coefficients": coefficients}


def _features(field: xr.DataArray, mean: Array, to_modes: Array, *, recent: int, before: int) -> Array:
    """`(sample, 2 modes)`: the mean of the recent inputs, and that minus the mean of those before."""
    values = field.transpose("sample", "lead", ...).values[:, -(recent + before) :]
    anomaly = values.reshape(*values.shape[:2], -1).astype(np.float64) - mean
    modes = np.where(np.isfinite(anomaly), anomaly, 0.0) @ to_modes.T
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
