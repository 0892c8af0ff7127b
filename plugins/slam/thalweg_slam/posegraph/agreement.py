"""Which loops agree with one another and with odometry: where to begin when some of them are false.

A loop between poses i and j says, beside composed odometry T, by which motion D = T_i Z T_j^-1 of the world odometry
has drifted from i to j. Two loops that begin near one another and end near one another must say the same motion, but
for their own noise and that of the odometry between (pairwise consistency, Mangelson et al. 2018,
doi:10.1109/ICRA.2018.8460217).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import geometry
from ..graph import LOOP, ODOMETRY, Graph

Array = np.ndarray[Any, np.dtype[Any]]

NEIGHBOURS = 48
"""Loops with which a loop is compared, those that begin and end nearest to it."""
DOUBTS = (1.0, 10.0, 100.0)
"""By how much the variance of odometry may be larger than its information says."""
BEYOND = 5.0
"""A disagreement, in standard deviations a direction, that noise does not make."""


def agreeing(graph: Graph, composed: Graph) -> list[Array]:
    """Sets of loops, (M,) bool each, that agree with one another; `composed` has the poses of odometry.

    For each of `DOUBTS` about odometry the set that agrees best, each at most once; none where there are no loops
    between poses that odometry joins, or where noise is not known (information that is singular).
    """
    loops = _Loops.of(graph, composed)
    found: list[Array] = []
    if loops is None:
        return found
    for doubt in DOUBTS:
        chosen = np.zeros(len(graph.edges), np.bool_)
        chosen[loops.numbers[_greedy(*loops.compared(doubt))]] = True
        if chosen.any() and not any((chosen == other).all() for other in found):
            found.append(chosen)
    return found


@dataclass(frozen=True)
class _Loops:
    numbers: Array
    """(L,) edges."""
    ends: Array
    """(L, 2) poses: the chain of the first is not after that of the second, nor in one chain the first itself."""
    chain: Array
    """(N,): the unbroken odometry that a pose is of."""
    drift: tuple[Array, Array]
    """The motion of the world that each loop says, as rotations and translations."""
    noise: Array
    """(L, k, k) covariance of that motion, of the loop's own noise."""
    walked: Array
    """(N, k, k) covariance of the world's drift from the first pose of the chain on."""
    last: tuple[Array, Array]
    """The second pose of each loop."""
    room: float
    """The logarithm of the volume in which a false loop may say anything."""

    @classmethod
    def of(cls, graph: Graph, composed: Graph) -> _Loops | None:
        numbers = np.flatnonzero((graph.kind == LOOP) & (graph.edges[:, 0] != graph.edges[:, 1]))
        covariance = _covariance(graph)
        if not len(numbers) or covariance is None:
            return None
        at = composed.rotation, composed.translation - composed.translation.mean(axis=0)
        chain, walked = _chains(graph, at, covariance)
        ends = graph.edges[numbers]
        measured = graph.edge_rotation[numbers], graph.edge_translation[numbers]
        # The noise of a measurement moves the pose at its end.
        moved = geometry.adjoint(_of(at, ends[:, 1]))
        noise = moved @ covariance[numbers] @ moved.transpose(0, 2, 1)
        drift = geometry.compose(geometry.compose(_of(at, ends[:, 0]), measured), geometry.inverse(_of(at, ends[:, 1])))
        swapped = ends[:, 0] > ends[:, 1]
        drift = tuple(  # type: ignore[assignment]
            np.where(swapped.reshape(-1, *[1] * (one.ndim - 1)), back, one)
            for one, back in zip(drift, geometry.inverse(drift), strict=True)
        )
        ends = np.sort(ends, axis=1)
        extent = np.concatenate([at[1], drift[1]]).std(axis=0)
        angles = 2 * np.pi if graph.dims == 2 else 8 * np.pi**2
        room = float(np.log(np.maximum(4 * extent, 1e-9)).sum() + np.log(angles))
        return cls(numbers, ends, chain, drift, noise, walked, _of(at, ends[:, 1]), room)

    def compared(self, doubt: float) -> tuple[Array, Array, Array, Array]:
        """Of each loop by itself, and of pairs: what it is worth (L,), pairs (P, 2), what they are worth (P,), (P,).

        Worth is the logarithm of how much likelier the disagreement is where both are true than where one of them may
        say anything; -inf where noise does not make it.
        """
        count = len(self.numbers)
        alone, every = np.full(count, 0.0), np.arange(count)
        within = np.flatnonzero(self.chain[self.ends[:, 0]] == self.chain[self.ends[:, 1]])
        spread = self.noise[within] + doubt * self._between(self.ends[within, 0], self.ends[within, 1])
        alone[within] = self._worth(_of(self.drift, within), within, spread)
        pairs = self._pairs(every)
        a, b = pairs.T
        spread = self.noise[a] + self.noise[b] + doubt * self._apart(a, b)
        apart = geometry.compose(geometry.inverse(_of(self.drift, a)), _of(self.drift, b))
        return alone, pairs, self._worth(apart, a, spread), self._overlap(a, b)

    def _overlap(self, a: Array, b: Array) -> Array:
        """Whether two loops have odometry in common, without which they say nothing of one another."""
        low = np.maximum(self.ends[a, 0], self.ends[b, 0])
        return np.asarray(low < np.minimum(self.ends[a, 1], self.ends[b, 1]))

    def _pairs(self, every: Array) -> Array:
        from scipy.spatial import cKDTree

        if len(every) <= NEIGHBOURS:
            a, b = np.triu_indices(len(every), 1)
        else:
            _, near = cKDTree(self.ends).query(self.ends, NEIGHBOURS)
            both = np.stack([np.repeat(every, NEIGHBOURS), near.ravel()], axis=1)
            a, b = np.unique(np.sort(both[both[:, 0] != both[:, 1]], axis=1), axis=0).T
        joined = (self.chain[self.ends[a]] == self.chain[self.ends[b]]).all(axis=1)
        return np.stack([a[joined], b[joined]], axis=1)

    def _between(self, i: Array, j: Array) -> Array:
        low, high = np.minimum(i, j), np.maximum(i, j)
        return np.asarray(self.walked[high] - self.walked[low])

    def _apart(self, a: Array, b: Array) -> Array:
        """The covariance of odometry that one of two loops goes along, and the other does not."""
        (i, j), (k, m) = self.ends[a].T, self.ends[b].T
        found = self._between(i, k) + self._between(j, m)
        low = np.maximum(np.minimum(i, k), np.minimum(j, m))
        high = np.maximum(np.minimum(np.maximum(i, k), np.maximum(j, m)), low)
        common = self.chain[low] == self.chain[high]
        found[common] -= 2 * self._between(low[common], high[common])
        return found

    def _worth(self, motion: tuple[Array, Array], loop: Array, spread: Array) -> Array:
        """Seen from the second pose of `loop`, where the arms of turns are short."""
        frame = _of(self.last, loop)
        back = geometry.adjoint(geometry.inverse(frame))
        spread = back @ spread @ back.transpose(0, 2, 1)
        error = geometry.log(geometry.compose(geometry.compose(geometry.inverse(frame), motion), frame))
        size = error.shape[1]
        spread = spread + 1e-12 * np.einsum("nii->n", spread)[:, None, None] * np.eye(size)
        square = np.einsum("ni,ni->n", error, np.linalg.solve(spread, error[..., None])[..., 0])
        likelihood = -0.5 * (square + np.linalg.slogdet(2 * np.pi * spread)[1])
        return np.where(square > size * BEYOND**2, -np.inf, likelihood + self.room)


def _of(motion: tuple[Array, Array], at: Array) -> tuple[Array, Array]:
    return motion[0][at], motion[1][at]


def _covariance(graph: Graph) -> Array | None:
    """Of the error of each edge as a twist; None where one of odometry or of a loop is not known in all directions."""
    used = graph.kind <= LOOP
    information = np.where(used[:, None, None], graph.information, np.eye(graph.information.shape[1]))
    if not np.isfinite(information).all():
        return None
    try:
        found = np.linalg.inv(information)
    except np.linalg.LinAlgError:
        return None
    if not (np.isfinite(found).all() and (np.einsum("eii->ei", found) > 0).all()):
        return None
    if graph.dims == 3 and graph.convention == "vector":
        # The vector part of a quaternion is half the turn.
        whole = np.repeat([1.0, 2.0], 3)
        found = found * whole[:, None] * whole
    return np.asarray(found)


def _chains(graph: Graph, at: tuple[Array, Array], covariance: Array) -> tuple[Array, Array]:
    """The number of the chain of each pose, and the covariance (N, k, k) of the drift along it."""
    count, size = len(graph), covariance.shape[1]
    edges = graph.edges
    steps = np.flatnonzero((graph.kind == ODOMETRY) & (np.abs(edges[:, 1] - edges[:, 0]) == 1))
    moved = geometry.adjoint(_of(at, edges[steps, 1]))
    each = np.zeros((count, size, size))
    later = edges[steps].max(axis=1)
    each[later] = moved @ covariance[steps] @ moved.transpose(0, 2, 1)
    starts = np.ones(count, np.bool_)
    starts[later] = False
    return np.cumsum(starts) - 1, np.cumsum(each, axis=0)


def _greedy(alone: Array, pairs: Array, worth: Array, overlap: Array) -> Array:
    """Loops (L,) bool, taken in the order of what agrees with them; one that contradicts those taken is left out."""
    informed = overlap & np.isfinite(worth)
    total = np.where(np.isfinite(alone), np.maximum(alone, 0), 0.0)
    for side in range(2):
        np.add.at(total, pairs[informed, side], np.maximum(worth[informed], 0))
    total[~np.isfinite(alone)] = -np.inf
    contradicts: list[list[int]] = [[] for _ in alone]
    for a, b in pairs[np.isneginf(worth) & overlap].tolist():
        contradicts[a].append(b)
        contradicts[b].append(a)
    chosen = np.zeros(len(alone), np.bool_)
    for loop in np.argsort(-total, kind="stable").tolist():
        chosen[loop] = total[loop] > 0 and not chosen[contradicts[loop]].any()
    return chosen
