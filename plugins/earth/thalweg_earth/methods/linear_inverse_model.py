"""Linear inverse modelling: the propagator that the lagged covariances imply."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from thalweg import Fitted, HandshakeError, Learner, Samples, Signature, Training

from ._eofs import leading, modes_of, weighted_anomalies, whole
from ._estimate import as_estimate, check_history
from ._points import refuse_too_few, warn_of_few

Array = NDArray[Any]


class LinearInverseModelSolver(Fitted):
    """A propagator in the space of the leading EOFs; see `LinearInverseModel`.

    State, by field: `to_modes` (modes, cells), `to_cells` (modes, cells), `mean` (cells), `propagator` (modes, modes).
    """

    lag: int

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        arrays = {}
        for name in wanted.names:
            mean, to_modes, to_cells = (self.state[f"{name}.{key}"] for key in ("mean", "to_modes", "to_cells"))
            last = inputs[name].isel(lead=-1).transpose("sample", ...)
            modes = modes_of(last.values.reshape(last.shape[0], -1), mean, to_modes, to_cells)
            values, vectors = np.linalg.eig(self.state[f"{name}.propagator"])
            inverse = np.linalg.inv(vectors)
            shape = (last.shape[0], wanted.sizes["lead"], *last.shape[1:])
            estimate = np.empty((shape[0], shape[1], mean.size), np.float32)
            for step in range(shape[1]):
                power = ((vectors * values.astype(complex) ** ((step + 1) / self.lag)) @ inverse).real
                estimate[:, step] = (modes @ power.T) @ to_cells + mean
            arrays[name] = estimate.reshape(shape)
        return as_estimate(arrays, inputs)


class LinearInverseModel(Learner):
    r"""The linear dynamics that best explain the lagged covariances of the leading EOFs.

    $G = C(\tau) C(0)^{-1}$, $\hat z(t + m) = \mathrm{Re}\, G^{m/\tau} z(t)$, where $z$ are the coordinates of the last
    input in the EOFs of all steps that the training windows touch, about their mean. Steps are those of the windows:
    with `every: n` there, n steps of the series. $C(0)$ is taken over the earlier step of each pair, so that $G$ is the
    least-squares regression; no pair crosses a gap or the end of a series.
    `weights: area` weighs by the square root of the grid's `area` or, without one, of the cosine of `latitude`.

    EOFs are of the cells that are always there; a cell that is missing in some training step (land, ice) has no
    estimate. A step of which less than half is there is not learned from. Of a last input with gaps, $z$ is the
    least-squares fit to the cells that are there; where they do not tell the modes apart the estimate is missing.
    Raises `HandshakeError` if the training steps carry fewer modes than asked for, none are `lag` apart, or there are
    no more pairs than modes.
    """

    cite: ClassVar[str] = "10.1175/1520-0442(1995)008<1999:TOGOTS>2.0.CO;2"
    fitted: ClassVar[type[Fitted]] = LinearInverseModelSolver

    modes: int = Field(15, ge=1, description="number of leading EOFs that are kept")
    lag: int = Field(4, ge=1, description="lag between the two covariances, in steps of the windows")
    weights: Literal["area", "none"] = Field(
        "area", description="weights of the cells in the EOFs: their area, or all equal"
    )

    def check(self, given: Signature) -> None:
        check_history(given, 1, taker=self.name)

    def check_samples(self, train: Samples) -> None:
        self._enough(sum(max(0, len(each) - self.lag) for each in train.index.tracks(train.numbers)))

    def fit(self, training: Training) -> LinearInverseModelSolver:
        state: dict[str, Array] = {}
        for name in training.wanted.names:
            for key, array in self._fit(training.train, name).items():
                state[f"{name}.{key}"] = array
        solver = LinearInverseModelSolver(lag=self.lag)
        solver.with_state(state)
        return solver

    def _fit(self, train: Samples, name: str) -> dict[str, Array]:
        anomalies, mean, weight = weighted_anomalies(train, name, taker=self.name, area=self.weights == "area")
        patterns = leading(whole(anomalies), self.modes, name, taker=self.name)
        if max(map(len, anomalies)) <= self.lag:
            raise HandshakeError(
                f"no two training steps of {name!r} are {self.lag} apart without a gap",
                allowed=f"a lag below {max(map(len, anomalies))}",
                advice="shorten `lag` of linear-inverse-model, or lengthen the training period",
            )
        modes = [each @ patterns.T for each in anomalies if len(each) > self.lag]
        earlier = np.concatenate([each[: -self.lag] for each in modes])
        later = np.concatenate([each[self.lag :] for each in modes])
        paired = np.isfinite(earlier).all(1) & np.isfinite(later).all(1)
        self._enough(int(paired.sum()))
        warn_of_few(int(paired.sum()), self.modes, taker=self.name, of=_PAIRS, advice=_ADVICE)
        return {
            "mean": mean,
            "to_modes": patterns * weight,
            "to_cells": np.divide(patterns, weight, out=np.zeros_like(patterns), where=weight > 0),
            "propagator": np.linalg.lstsq(earlier[paired], later[paired], rcond=None)[0].T,
        }

    def _enough(self, pairs: int) -> None:
        refuse_too_few(pairs, self.modes, taker=self.name, of=_PAIRS, advice=_ADVICE)


_PAIRS = "pairs of training steps a lag apart, for each row of the propagator"
_ADVICE = "lower `modes`, shorten `lag`, or lengthen the training period"
