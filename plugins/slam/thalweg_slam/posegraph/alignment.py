"""Parts of a graph moved as a whole to where their priors want them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import geometry
from ..geometry import Motion
from ..graph import POSITION, Graph

Array = np.ndarray[Any, np.dtype[Any]]

TURNS = 20
"""Iterations from each of the turns that are tried."""
FEW = 500
"""Priors by which the best turn is found; all of them refine it."""


def aligned(graph: Graph, rotation: Array, translation: Array, *, part: Array, fixed: Array) -> tuple[Array, Array]:
    """Poses where each part (N,) that has priors, and no pose that is `fixed` (N,), fits its priors best as a whole.

    Least squares over one motion of the world a part, begun at turns all round, for priors of positions alone leave it
    open which way round the part is.
    """
    rows = np.flatnonzero(graph.priors)
    held = np.zeros(part.max(initial=0) + 1, dtype=bool)
    held[part[fixed]] = True
    owner = part[graph.edges[rows, 0]]
    for number in np.unique(owner):
        if held[number]:
            continue
        own = rows[owner == number]
        pose = graph.edges[own, 0]
        fit = _Fit(graph, own, (rotation[pose], translation[pose]))
        turn, shift = fit.best()
        which = np.flatnonzero(part == number)
        world = np.repeat(turn[None], len(which), axis=0), np.repeat(shift[None], len(which), axis=0)
        moved = geometry.compose(world, (rotation[which], translation[which]))
        rotation, translation = rotation.copy(), translation.copy()
        rotation[which], translation[which] = moved
    return rotation, translation


class _Fit:
    """Least squares of Log(Z^-1 W T) over the motion W of the world, for many W at once (starts, priors, ...)."""

    def __init__(self, graph: Graph, rows: Array, poses: Motion) -> None:
        self.dims, self.size = graph.dims, 3 * (graph.dims - 1)
        self.measured = graph.edge_rotation[rows], graph.edge_translation[rows]
        self.information = graph.information[rows]
        self.position = graph.kind[rows] == POSITION
        self.poses = poses

    def best(self) -> Motion:
        rows = np.unique(np.linspace(0, len(self.information) - 1, min(FEW, len(self.information))).astype(int))
        turns = self._turns(rows)
        weight = np.trace(self.information[rows, : self.dims, : self.dims], axis1=1, axis2=2)
        weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(rows), 1 / len(rows))
        wanted, have = weight @ self.measured[1][rows], weight @ self.poses[1][rows]
        shifts = wanted - (geometry.matrix(turns, self.dims) @ have)
        found, costs = self._descend((turns, shifts), rows)
        least = int(np.argmin(costs))
        whole, _ = self._descend((found[0][least][None], found[1][least][None]), np.arange(len(self.information)))
        return whole[0][0], whole[1][0]

    def _turns(self, rows: Array) -> Array:
        """Turns all round, none at all first, and those that bring some pose to what its prior says."""
        some = rows[:: max(1, len(rows) // 8)]
        back = geometry.inverse((self.poses[0][some], np.zeros_like(self.poses[1][some])))
        told, _ = geometry.compose((self.measured[0][some], back[1]), back)
        if self.dims == 2:
            return np.concatenate([np.arange(12) * np.pi / 6, told])
        from scipy.spatial.transform import Rotation

        round_about: Array = Rotation.create_group("O").as_quat()
        first = np.argsort(-np.abs(round_about[:, 3]), kind="stable")
        return np.concatenate([round_about[first], told])

    def _error(self, world: Motion, rows: Array) -> tuple[Array, Motion]:
        count = len(world[1])
        turn, shift = (np.repeat(each[:, None], len(rows), axis=1) for each in world)
        poses, measured = (
            (np.repeat(each[0][None, rows], count, axis=0), np.repeat(each[1][None, rows], count, axis=0))
            for each in (self.poses, self.measured)
        )
        here, target = geometry.compose((turn, shift), poses), geometry.inverse(measured)
        apart = geometry.compose(target, here)
        error = geometry.log(apart)
        plain = self.position[rows]
        error[:, plain, : self.dims] = apart[1][:, plain]
        return error, here

    def _descend(self, world: Motion, rows: Array) -> tuple[Motion, Array]:
        """Levenberg-Marquardt from each start; the motions and their costs."""
        information, d = self.information[rows], self.dims
        damping = np.full(len(world[1]), 1e-6)
        error, here = self._error(world, rows)
        cost = np.einsum("snk,nkl,snl->s", error, information, error)
        for _ in range(TURNS):
            jacobian = geometry.right_jacobian_inverse(error)
            plain = self.position[rows]
            apart = geometry.matrix(geometry.inverse(self.measured)[0][rows][plain], d) @ geometry.matrix(
                here[0][:, plain], d
            )
            jacobian[:, plain] = np.eye(self.size)
            jacobian[:, plain, :d, :d] = apart
            # The world moves on the left: Z^-1 Exp(x) W T = Z^-1 W T Exp(Ad((W T)^-1) x).
            jacobian = jacobian @ geometry.adjoint(geometry.inverse(here))
            weighed = np.einsum("snki,nkl->snil", jacobian, information)
            whole = np.einsum("snil,snlj->sij", weighed, jacobian)
            slope = np.einsum("snil,snl->si", weighed, error)
            diagonal = np.einsum("sii->si", whole)
            floor = 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
            damped = whole + (damping[:, None] * np.maximum(diagonal, floor) + floor)[:, :, None] * np.eye(self.size)
            step = geometry.exp(-np.linalg.solve(damped, slope[..., None])[..., 0])
            trial = geometry.compose(step, world)
            tried, there = self._error(trial, rows)
            after = np.einsum("snk,nkl,snl->s", tried, information, tried)
            better = after <= cost
            damping = np.where(better, damping / 4, np.maximum(damping * 8, 1e-4))
            world = self._chosen(better, trial, world)
            error = np.where(better[:, None, None], tried, error)
            here = self._chosen(better, there, here)
            cost = np.where(better, after, cost)
        return world, cost

    def _chosen(self, better: Array, one: Motion, other: Motion) -> Motion:
        found = []
        for a, b in zip(one, other, strict=True):
            found.append(np.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b))
        return found[0], found[1]
