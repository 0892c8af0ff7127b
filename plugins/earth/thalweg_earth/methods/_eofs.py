"""Empirical orthogonal functions of the steps that training windows touch."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import Samples
from thalweg.errors import HandshakeError

Array = NDArray[Any]


def weighted_anomalies(train: Samples, name: str, *, taker: str, area: bool = True) -> tuple[list[Array], Array, Array]:
    """Runs of steps `(step, cells)` less their mean, times a weight, 0 where they are missing; the mean; the weight.

    The weight is the square root of the relative area, or 1, and 0 for a cell that is never there.
    """
    found = _runs(train, name)
    steps = np.concatenate(found)
    there = np.isfinite(steps)
    count = there.sum(0)
    mean = np.where(there, steps, 0.0).sum(0) / np.where(count > 0, count, np.nan)
    weight = np.where(count > 0, _root_area(train.data, name, taker=taker) if area else 1.0, 0.0)
    return [np.where(np.isfinite(each), each - mean, 0.0) * weight for each in found], mean, weight


def _runs(train: Samples, name: str) -> list[Array]:
    """Unbroken runs of the steps that training windows touch, each `(step, cells)` in float64."""
    spec = train.spec
    dim, series = str(spec["dim"]), spec.get("series")
    length = int(spec["inputs"]) + int(spec["targets"])
    field = train.data[name]
    first = train.data["window_start"].values[train.numbers]
    along = str(series) if series and series in field.dims else None
    owner = train.data["window_series"].values[train.numbers] if along else np.zeros(len(first), int)
    found = []
    for number in np.unique(owner):
        touched = np.zeros(field.sizes[dim] + 2, np.int8)
        for start in first[owner == number]:
            touched[start + 1 : start + 1 + length] = 1
        edges = np.flatnonzero(np.diff(touched))
        low, high = int(edges[0]), int(edges[-1])
        one = field.isel({along: int(number)}) if along else field
        values = one.isel({dim: slice(low, high)}).transpose(dim, ...).values
        values = values.reshape(high - low, -1).astype(np.float64)
        found += [values[begin - low : end - low] for begin, end in edges.reshape(-1, 2)]
    return found


def leading(anomalies: Array, modes: int, name: str, *, taker: str) -> Array:
    """The leading EOFs `(modes, cells)`, orthonormal, from the smaller of the two covariance matrices."""
    wide = anomalies.shape[1] > anomalies.shape[0]
    values, vectors = np.linalg.eigh(anomalies @ anomalies.T if wide else anomalies.T @ anomalies)
    rank = int((values > 1e-12 * max(float(values[-1]), 1e-300)).sum())
    if rank < modes:
        raise HandshakeError(
            f"{taker} asks for {modes} modes of {name!r}",
            allowed=f"at most {rank}: what the training steps span",
            advice="lower `modes`, or lengthen the training period",
        )
    largest = vectors[:, ::-1][:, :modes]
    return (anomalies.T @ largest / np.sqrt(values[::-1][:modes])).T if wide else largest.T


def _root_area(data: xr.Dataset, name: str, *, taker: str) -> Array:
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
            advice=f"give the grid a `latitude`, or set `weights: none` where {taker} has it",
        )
    values = area.broadcast_like(field).transpose(*field.dims).values.astype(np.float64)
    root: Array = np.sqrt(np.maximum(values, 0.0))
    return root.ravel()


def _is_latitude(name: str, coordinate: xr.DataArray) -> bool:
    return name in ("latitude", "lat") or coordinate.attrs.get("standard_name") == "latitude"
