"""From laws on named dims to one system per variable, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import HandshakeError, Held, Law, LinearLaw, ThalwegError
from thalweg.laws import BoundedLaw, Monotone

from .bounded import update_within
from .correlated import update_correlated
from .engine import update, update_members
from .joint import Joint, grouped
from .monotone import sorted_along
from .smoothing import smooth

Array = NDArray[Any]

log = logging.getLogger("thalweg.probconserv")

SYSTEMS = 64 * 2**20
"""Bytes of k x k systems that are solved at once."""

HELD: tuple[type[Law], ...] = (LinearLaw, BoundedLaw, Monotone)
"""What can be held here."""


@dataclass(frozen=True)
class Smoothing:
    """Second differences along a dim are small, as they are for neighbours of this correlation."""

    dim: str
    correlation: float


@dataclass(frozen=True)
class Prior:
    """How sure the estimate is of a variable: nothing at all is the identity, which moves the mean only."""

    variance: xr.DataArray | None = None
    factor: xr.DataArray | None = None
    members: bool = False
    shrinkage: float = 0.0
    weight: bool = False
    """Whether the variance only says what moves how much, and is not itself conditioned."""
    smoothing: Smoothing | None = None


def hold(
    estimate: xr.Dataset, held: Held, *, context: xr.Dataset, prior: Callable[[xr.DataArray], Prior]
) -> xr.Dataset:
    """The estimate, conditioned variable by variable on all laws that name it; lazy where it is dask-backed."""
    changed: dict[str, xr.DataArray] = {}
    for name, group in grouped(held).items():
        field = estimate[name]
        known = prior(field)
        joint = Joint(field, group, context=context, grid=held.grid, members=known.members)
        try:
            if field.chunks is not None:
                from .lazily import hold_lazily

                changed |= hold_lazily(field, known, joint)
            else:
                changed |= _held(field, known, joint)
        except ThalwegError as error:
            raise error.at(", ".join(law.name for law in group)) from None
    return estimate.assign(changed)


def _held(field: xr.DataArray, prior: Prior, joint: Joint) -> dict[str, xr.DataArray]:
    # What cannot be held together is refused before a value is looked at.
    monotone, limits = joint.monotone, joint.limits()
    mean = joint.flat(field)
    variance = None if prior.variance is None else joint.flat(prior.variance)
    factor = None if prior.factor is None else joint.flat(prior.factor)
    targets, share = joint.asked(mean)
    parts = []
    for at in _slabs(len(mean), joint.count):
        now = mean[at].astype(np.float64)
        own = np.ones(joint.cells) if variance is None else variance[at].astype(np.float64)
        given = _Gaussian(now, own, None if factor is None else factor[at].astype(np.float64))
        asked = _Asked(targets[at], share[at])
        part = _linear(given, prior, joint, asked, bounded=limits is not None)
        if limits is not None:
            low, high = (each[at] if each.ndim > 1 else each for each in limits)
            part = replace(part, mean=_bounded(part, joint, asked, low, high, members=prior.members))
        if monotone is not None:
            part = replace(part, mean=_monotone(part, joint))
        parts.append(part)
    dropped = sorted({row for part in parts for row in part.dropped})
    if dropped:
        said = ", ".join(f"{row} ({joint.owners[row].name})" for row in dropped)
        log.warning("%s: rows %s follow from the others and were dropped", field.name, said)
    changed = {str(field.name): joint.shaped(np.concatenate([part.mean for part in parts]), field)}
    if prior.variance is not None and not prior.weight:
        left = np.concatenate([np.broadcast_to(part.variance, part.mean.shape) for part in parts])
        changed[str(prior.variance.name)] = joint.shaped(left, prior.variance)
    if prior.factor is not None:
        changed[str(prior.factor.name)] = joint.shaped(np.concatenate([part.factor for part in parts]), prior.factor)
    return changed


@dataclass(frozen=True)
class _Asked:
    """Of a part of the batch: what rows over the cells that are there must be, and what their noise counts with."""

    targets: Array
    share: Array


@dataclass(frozen=True)
class _Gaussian:
    """A part of the batch: mean and variance (batch, cells), or members (batch, cells, member) as the mean."""

    mean: Array
    variance: Array
    """Beside the factor, if there is one."""
    factor: Any = None
    dropped: tuple[int, ...] = ()
    spread: Array | None = None
    """How far each cell may move under bounds, where that is not the variance."""


def _linear(given: _Gaussian, prior: Prior, joint: Joint, asked: _Asked, *, bounded: bool) -> _Gaussian:
    """Under the linear laws, with as much of the covariance as is known."""
    if prior.smoothing is not None:
        return _smoothed(given, prior.smoothing, joint, asked)
    if joint.matrix is None:
        return given
    laws = {"rows": joint.matrix, "targets": asked.targets, "noise": joint.noise, "share": asked.share}
    if prior.members:
        members, dropped = update_members(given.mean, **laws, shrinkage=prior.shrinkage)
        return replace(given, mean=members, dropped=dropped)
    if given.factor is None:
        found = update(given.mean, given.variance, **laws)
        # Without correlations, bounds and laws are one problem, which starts from the free estimate.
        mean = given.mean if bounded else found.mean
        return _Gaussian(mean, found.variance, None, found.dropped, given.variance)
    found = update(given.mean, None if prior.variance is None else given.variance, **laws, factor=given.factor)
    assert found.factor is not None
    beside = np.maximum(found.variance - (found.factor**2).sum(-1), 0.0)
    return _Gaussian(found.mean, beside, found.factor, found.dropped, found.variance)


def _smoothed(given: _Gaussian, smoothing: Smoothing, joint: Joint, asked: _Asked) -> _Gaussian:
    """Smoothed along a dim, and then, with the covariance that this gives, under the linear laws."""
    mean, dim = given.mean, smoothing.dim
    if np.isnan(mean).any():
        raise HandshakeError(
            f"smoothing along {dim!r} goes over missing cells",
            allowed="a field without missing cells",
            advice="leave `smoothing` out, or fill the cells in the method",
        )
    first = smooth(joint.lines(mean, dim), joint.lines(given.variance, dim), correlation=smoothing.correlation)
    smoothed, smaller = joint.unlined(first.mean, dim), joint.unlined(first.variance, dim)
    if joint.matrix is None:
        return _Gaussian(smoothed, smaller)

    def times(vector: Array) -> Array:
        return joint.unlined(first.times(joint.lines(np.broadcast_to(vector, mean.shape), dim)), dim)

    laws = {"rows": joint.matrix, "targets": asked.targets, "noise": joint.noise, "share": asked.share}
    found = update_correlated(smoothed, smaller, times=times, **laws)
    return _Gaussian(found.mean, found.variance, None, found.dropped)


def _bounded(given: _Gaussian, joint: Joint, asked: _Asked, lower: Array, upper: Array, *, members: bool) -> Array:
    """Within bounds and under laws: from the free mean, or from what the linear laws made of a correlated one."""
    mean, spread = given.mean, given.variance if given.spread is None else given.spread
    targets, share = asked.targets, asked.share
    if members:
        mean = np.moveaxis(mean, -1, 1)
        spread = np.broadcast_to(np.nan_to_num(mean.var(1, ddof=1))[:, None], mean.shape)
        targets, share = (
            np.broadcast_to(each[:, None], (*mean.shape[:2], each.shape[-1])) for each in (targets, share)
        )
        lower, upper = (each[:, None] if each.ndim > 1 else each for each in (lower, upper))
    spread = np.broadcast_to(spread, mean.shape)
    if joint.matrix is None:
        found = np.clip(mean, lower, upper)
    else:
        laws = {"rows": joint.matrix, "targets": targets, "noise": joint.noise, "share": share}
        found = update_within(mean, spread, lower=lower, upper=upper, **laws)
    return np.moveaxis(found, 1, -1) if members else found


def _monotone(given: _Gaussian, joint: Joint) -> Array:
    law = joint.monotone
    assert law is not None
    spread = np.broadcast_to(given.variance, given.mean.shape)
    lines, weights = joint.lines(given.mean, law.dim), joint.lines(spread, law.dim)
    return joint.unlined(sorted_along(lines, weights, rising=law.rising), law.dim)


def _slabs(batch: int, count: int) -> Iterator[slice]:
    size = max(1, SYSTEMS // (8 * max(1, count) ** 2))
    yield from (slice(start, start + size) for start in range(0, batch, size))
