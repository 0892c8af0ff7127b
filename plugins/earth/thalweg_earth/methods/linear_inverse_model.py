"""Linear inverse modelling: the propagator that the lagged covariances imply."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from thalweg import Fitted, Learner, Samples, Signature, Training
from thalweg.errors import HandshakeError

from ._estimate import as_estimate, check_history

Array = NDArray[Any]


class LinearInverseModelSolver(Fitted):
    """A propagator in the space of the leading EOFs; see `LinearInverseModel`.

    State, by field: `to_modes` (modes, cells), `to_cells` (modes, cells), `mean` (cells), `propagator` (modes, modes).
    """

    lag: int

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        arrays = {}
        for name in wanted.names:
            mean, to_modes = self.state[f"{name}.mean"], self.state[f"{name}.to_modes"]
            last = inputs[name].isel(lead=-1).transpose("sample", ...)
            anomaly = last.values.reshape(last.shape[0], -1).astype(np.float64) - mean
            modes = np.where(np.isfinite(anomaly), anomaly, 0.0) @ to_modes.T
            values, vectors = np.linalg.eig(self.state[f"{name}.propagator"])
            inverse = np.linalg.inv(vectors)
            shape = (last.shape[0], wanted.sizes["lead"], *last.shape[1:])
            estimate = np.empty((shape[0], shape[1], mean.size), np.float32)
            for step in range(shape[1]):
                power = ((vectors * values.astype(complex) ** ((step + 1) / self.lag)) @ inverse).real
                estimate[:, step] = (modes @ power.T) @ self.state[f"{name}.to_cells"] + mean
            arrays[name] = estimate.reshape(shape)
        return as_estimate(arrays, inputs)


class LinearInverseModel(Learner):
    r"""The linear dynamics that best explain the lagged covariances of the leading EOFs.

    $G = C(\tau) C(0)^{-1}$, $\hat z(t + m) = \mathrm{Re}\, G^{m/\tau} z(t)$, where $z$ are the coordinates of the last
    input in the EOFs of all steps that the training windows touch, about their mean. $C(0)$ is taken over the earlier
    step of each pair, so that $G$ is the least-squares regression; no pair crosses a gap or the end of a series.
    `weights: area` weighs by the square root of the grid's `area` or, without one, of the cosine of `latitude`.
    A cell that is never there stays missing; one that is missing at times counts as its mean then.
    Raises `HandshakeError` if the training steps carry fewer modes than asked for, or none are `lag` apart.
    """

    cite: ClassVar[str] = "10.1175/1520-0442(1995)008<1999:TOGOTS>2.0.CO;2"
    fitted: ClassVar[type[Fitted]] = LinearInverseModelSolver

    modes: int = Field(15, ge=1, description="leading EOFs kept")
    lag: int = Field(4, ge=1, description="steps between the two covariances")
    weights: Literal["area", "none"] = "area"

    def check(self, given: Signature) -> None:
        check_history(given, 1, taker=self.name)

    def fit(self, training: Training) -> LinearInverseModelSolver:
        state: dict[str, Array] = {}
        for name in training.wanted.names:
            for key, array in self._fit(training.train, name).items():
                state[f"{name}.{key}"] = array
        solver = LinearInverseModelSolver(lag=self.lag)
        solver.with_state(state)
        return solver

    def _fit(self, train: Samples, name: str) -> dict[str, Array]:
        runs = _runs(train, name)
        steps = np.concatenate(runs)
        there = np.isfinite(steps)
        count = there.sum(0)
        mean = np.where(there, steps, 0.0).sum(0) / np.where(count > 0, count, np.nan)
        weight = np.where(count > 0, _root_area(train.data, name) if self.weights == "area" else 1.0, 0.0)
        anomalies = np.where(there, steps - mean, 0.0) * weight
        patterns = _leading(anomalies, self.modes, name)
        if max(map(len, runs)) <= self.lag:
            raise HandshakeError(
                f"no two training steps of {name!r} are {self.lag} apart without a gap",
                allowed=f"a lag below {max(map(len, runs))}",
                advice="shorten `lag` of linear-inverse-model, or lengthen the training period",
            )
        ends = np.cumsum([len(run) for run in runs])
        modes = [each @ patterns.T for each in np.split(anomalies, ends[:-1])]
        earlier = np.concatenate([each[: -self.lag] for each in modes if len(each) > self.lag])
        later = np.concatenate([each[self.lag :] for each in modes if len(each) > self.lag])
        return {
            "mean": mean,
            "to_modes": patterns * weight,
            "to_cells": np.divide(patterns, weight, out=np.zeros_like(patterns), where=weight > 0),
            "propagator": np.linalg.lstsq(earlier, later, rcond=None)[0].T,
        }


def _runs(train: Samples, name: str) -> list[Array]:
    """Unbroken runs of the steps that training windows touch, each `(step, cells)` in float64."""
    spec = train.spec
    dim, series = str(spec["dim"]), spec.get("series")
    length = int(spec["inputs"]) + int(spec["targets"])
    field = train.data[name]
    first = train.data["window_start"].values[train.numbers]
    along = str(series) if series and series in field.dims else None
    owner = train.data["window_series"].values[train.numbers] if along else np.zeros(len(first), int)
    runs = []
    for number in np.unique(owner):
        touched = np.zeros(field.sizes[dim] + 2, np.int8)
        for start in first[owner == number]:
            touched[start + 1 : start + 1 + length] = 1
        edges = np.flatnonzero(np.diff(touched))
        low, high = int(edges[0]), int(edges[-1])
        one = field.isel({along: int(number)}) if along else field
        values = one.isel({dim: slice(low, high)}).transpose(dim, ...).values
        values = values.reshape(high - low, -1).astype(np.float64)
        runs += [values[begin - low : end - low] for begin, end in edges.reshape(-1, 2)]
    return runs


def _leading(anomalies: Array, modes: int, name: str) -> Array:
    """The leading EOFs `(modes, cells)`, orthonormal, from the smaller of the two covariance matrices."""
    wide = anomalies.shape[1] > anomalies.shape[0]
    values, vectors = np.linalg.eigh(anomalies @ anomalies.T if wide else anomalies.T @ anomalies)
    rank = int((values > 1e-12 * max(float(values[-1]), 1e-300)).sum())
    if rank < modes:
        raise HandshakeError(
            f"linear-inverse-model asks for {modes} modes of {name!r}",
            allowed=f"at most {rank}: what the training steps span",
            advice="lower `modes`, or lengthen the training period",
        )
    leading = vectors[:, ::-1][:, :modes]
    return (anomalies.T @ leading / np.sqrt(values[::-1][:modes])).T if wide else leading.T


def _root_area(data: xr.Dataset, name: str) -> Array:
    """Square root of the relative area of each cell, flat."""
    spec = data.attrs["samples"]
    field = data[name].isel({dim: 0 for dim in data[name].dims if dim in (spec["dim"], spec.get("series"))}, drop=True)
    latitudes = [each for key, each in field.coords.items() if _is_latitude(str(key), each)]
    if "area" in data and set(data["area"].dims) <= set(field.dims):
        area = data["area"]
    elif latitudes:
        area = latitudes[0].copy(data=np.cos(np.deg2rad(latitudes[0].values)))
    else:
        raise HandshakeError(
            f"{name!r} has neither `area` nor `latitude` to weigh its cells by",
            allowed=", ".join(map(str, data.coords)),
            advice="set `weights: none` in linear-inverse-model",
        )
    values = area.broadcast_like(field).transpose(*field.dims).values.astype(np.float64)
    root: Array = np.sqrt(np.maximum(values, 0.0))
    return root.ravel()


def _is_latitude(name: str, coordinate: xr.DataArray) -> bool:
    return name in ("latitude", "lat") or coordinate.attrs.get("standard_name") == "latitude"
