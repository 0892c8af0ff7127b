"""Empirical orthogonal functions of the steps that training windows touch."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import HandshakeError, Samples, index_of, quantities

Array = NDArray[Any]

log = logging.getLogger("thalweg")

_TOLD_APART = 0.1


def weighted_anomalies(train: Samples, name: str, *, taker: str, area: bool = True) -> tuple[list[Array], Array, Array]:
    """Stretches of steps `(step, cells)` less their mean, times a weight; the mean `(cells)`; the weight `(cells)`.

    A step of which no more than half of the cells are there is missing: NaN throughout. A cell that is missing in any
    other step has no mean (NaN) and the weight 0, so that it has no part in the EOFs; for all others the weight is the
    square root of the relative area, or 1. Raises `HandshakeError` if no cell is left.
    """
    found = _values(train, name)
    steps = np.concatenate(found)
    there = np.isfinite(steps)
    ever = there.any(0)
    whole = there.sum(1) > ever.sum() / 2
    always = there[whole].all(0) & ever
    if not always.any():
        raise HandshakeError(
            f"no cell of {name!r} is there in all of the {int(whole.sum())} training steps that {taker} learns from",
            allowed="a field some of whose cells are never missing",
            advice="select a part of the field, or fill it in preprocess",
        )
    if not whole.all() or (ever & ~always).any():
        log.warning(
            "%s: of %r, %d of %d training steps are missing, and %d of %d cells are missing at times: left out",
            *(taker, name, int((~whole).sum()), len(whole), int((ever & ~always).sum()), int(ever.sum())),
        )
    mean = np.where(always, np.where(always, steps[whole], 0.0).sum(0) / whole.sum(), np.nan)
    weight = np.where(always, _root_area(train.data, name, taker=taker) if area else 1.0, 0.0)
    edges = np.cumsum([len(each) for each in found])[:-1]
    anomalies = [
        np.where(kept[:, None], np.where(always, each - mean, 0.0) * weight, np.nan)
        for each, kept in zip(found, np.split(whole, edges), strict=True)
    ]
    return anomalies, mean, weight


def _values(train: Samples, name: str) -> list[Array]:
    """The values of each unbroken track of steps, a lead apart, `(step, cells)` in float64."""
    dim = str(train.index.dim)
    runs = (each.transpose(dim, ...) for each in train.runs(name))
    return [each.values.reshape(each.sizes[dim], -1).astype(np.float64) for each in runs]


def whole(anomalies: list[Array]) -> Array:
    """All steps that are not missing, `(step, cells)`."""
    steps = np.concatenate(anomalies)
    return np.asarray(steps[np.isfinite(steps).all(1)])


def modes_of(values: Array, mean: Array, to_modes: Array, to_cells: Array) -> Array:
    """The coordinates `(..., modes)` of fields `(..., cells)` in the EOFs, by least squares over the cells there.

    Where all cells with a mean are there this is the projection. Missing (NaN) where those that are there do not tell
    the modes apart: where the smallest eigenvalue of what is left of `P P^T`, 1 for all of them, is below 0.1.
    """
    known = np.isfinite(mean)
    anomaly = values.astype(np.float64) - mean
    there = np.isfinite(anomaly)
    modes: Array = np.where(there, anomaly, 0.0) @ to_modes.T
    for at in map(tuple, np.argwhere(~(there | ~known).all(-1))):
        seen = there[at]
        left = to_modes[:, seen] @ to_cells[:, seen].T
        left = (left + left.T) / 2
        if np.linalg.eigvalsh(left)[0] < _TOLD_APART:
            modes[at] = np.nan
        else:
            modes[at] = np.linalg.solve(left, modes[at])
    return modes


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
    index = index_of(data)
    field = data[name].isel({dim: 0 for dim in data[name].dims if dim in (index.dim, index.series)}, drop=True)
    latitude = quantities.find_axis(field, "latitude")
    if "area" in data and set(data["area"].dims) <= set(field.dims):
        area = data["area"]
    elif latitude is not None:
        area = quantities.cosine_of_latitude(latitude)
    else:
        raise HandshakeError(
            f"{name!r} has neither `area` nor `latitude` to weigh its cells by",
            allowed=", ".join(map(str, data.coords)),
            advice=f"give the grid a `latitude`, or set `weights: none` where {taker} has it",
        )
    values = area.broadcast_like(field).transpose(*field.dims).values.astype(np.float64)
    root: Array = np.sqrt(np.maximum(values, 0.0))
    return root.ravel()
