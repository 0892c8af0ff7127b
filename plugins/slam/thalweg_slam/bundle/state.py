"""What the solver moves, and the order in which it sees observations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .problem import Array, Bundle
from .projection import jacobian, residuals
from .rotation import exponential, logarithm, logarithm_slope


@dataclass(frozen=True)
class State:
    """Cameras and points; float64."""

    turns: Array
    """(C, 3, 3), world to camera."""
    moves: Array
    inner: Array
    """(C, 3): f, k1, k2 of `bal`; zeros of others."""
    points: Array

    @classmethod
    def of(cls, bundle: Bundle) -> State:
        cameras = bundle.cameras
        inner = cameras[:, 6:].copy() if cameras.shape[1] == 9 else np.zeros((len(cameras), 3))
        return cls(exponential(cameras[:, :3]), cameras[:, 3:6].copy(), inner, bundle.points.copy())

    def moved(self, cameras: Array, points: Array) -> State:
        """R <- exp(w) R, everything else added."""
        inner = self.inner + cameras[:, 6:] if cameras.shape[1] == 9 else self.inner
        turns = exponential(cameras[:, :3]) @ self.turns
        # One step towards the nearest rotation, which keeps rounding from adding up.
        turns = turns @ (1.5 * np.eye(3) - 0.5 * turns.transpose(0, 2, 1) @ turns)
        return State(turns, self.moves + cameras[:, 3:6], inner, self.points + points)

    def cameras(self, parameters: int) -> Array:
        """(C, parameters) as a bundle has them."""
        return np.concatenate([logarithm(self.turns), self.moves, self.inner], axis=1)[:, :parameters]

    def step_from(self, cameras: Array, at: Array) -> Array:
        """(k, d): the step that leads from `at` to these cameras of the state."""
        turned = self.turns[cameras] @ exponential(at[:, :3]).transpose(0, 2, 1)
        rest = np.concatenate([self.moves[cameras], self.inner[cameras]], axis=1)[:, : at.shape[1] - 3]
        return np.concatenate([logarithm(turned), rest - at[:, 3:]], axis=1)


@dataclass(frozen=True)
class Sightings:
    """Observations sorted by camera, then by point, with the way back."""

    bundle: Bundle
    start: Array
    """(C + 1,): where each camera's observations begin."""
    point: Array
    """(O,) uint32."""
    camera: Array
    """(O,) int64."""
    measured: Array
    """(m, O)."""
    order: Array
    """(O,): numbers of these observations in the bundle."""
    point_start: Array
    """(Q + 1,): where each point's observations begin in `sighting`."""
    sighting: Array
    """(O,): numbers of observations sorted by point, then by camera."""

    @classmethod
    def of(cls, bundle: Bundle) -> Sightings:
        count = len(bundle.points)
        key = bundle.observations[:, 0].astype(np.int64) * count + bundle.observations[:, 1]
        order = np.argsort(key, kind="stable")
        camera, point = bundle.observations[order].T
        sighting = np.argsort(point, kind="stable")
        return cls(
            bundle,
            start=np.searchsorted(camera, np.arange(len(bundle) + 1)).astype(np.int64),
            point=point.astype(np.uint32),
            camera=camera.astype(np.int64),
            measured=np.ascontiguousarray(bundle.measured[order].T),
            order=order,
            point_start=np.searchsorted(point[sighting], np.arange(count + 1)).astype(np.int64),
            sighting=sighting.astype(np.int64),
        )

    def residuals(self, state: State) -> Array:
        """(m, O), in sigmas."""
        kind = self.bundle.camera
        out = np.empty_like(self.measured)
        residuals(
            kind.code, self.bundle.calibration, state.turns, state.moves, state.inner, state.points,
            self.start, self.point, self.measured, out,
        )  # fmt: skip
        if self.bundle.sigma != 1.0:
            out /= self.bundle.sigma
        return out

    def jacobian(self, state: State, weight: Array, *, dtype: type[np.floating] = np.float64) -> Array:
        """(m, d + 3, O), of residuals in sigmas, times `weight` (O,)."""
        kind = self.bundle.camera
        out = np.empty((kind.measured, kind.parameters + 3, len(self.point)), dtype)
        if self.bundle.sigma != 1.0:
            weight = weight / self.bundle.sigma
        jacobian(
            kind.code, self.bundle.calibration, state.turns, state.moves, state.inner, state.points,
            self.start, self.point, weight, ~self.bundle.fixed, out,
        )  # fmt: skip
        return out

    def prior_cost(self, state: State) -> float:
        """Sum of the priors' costs."""
        total = 0.0
        for each in self.bundle.priors:
            step = state.step_from(each.cameras, each.at).reshape(-1)
            total += float(0.5 * step @ each.information @ step + each.gradient @ step) + each.constant
        return total

    def prior(self, state: State) -> tuple[Array, Array]:
        """Hessian (C d, C d) and gradient (C d,) of the priors; empty if there are none."""
        d = self.bundle.camera.parameters
        if not self.bundle.priors:
            return np.zeros((0, 0)), np.zeros(0)
        size = len(self.bundle) * d
        hessian, gradient = np.zeros((size, size)), np.zeros(size)
        for each in self.bundle.priors:
            step = state.step_from(each.cameras, each.at)
            slope = np.zeros((len(step) * d, len(step) * d))
            for k, turn in enumerate(logarithm_slope(step[:, :3])):
                slope[k * d : k * d + d, k * d : k * d + d] = np.eye(d)
                slope[k * d : k * d + 3, k * d : k * d + 3] = turn
            rows = (each.cameras[:, None] * d + np.arange(d)).reshape(-1)
            hessian[np.ix_(rows, rows)] += slope.T @ each.information @ slope
            gradient[rows] += slope.T @ (each.information @ step.reshape(-1) + each.gradient)
        held = np.repeat(self.bundle.fixed, d)
        hessian[held], hessian[:, held], gradient[held] = 0.0, 0.0, 0.0
        return hessian, gradient

    def result(self, state: State) -> Bundle:
        """The bundle with the state's cameras and points; cameras that are fixed keep their very numbers."""
        cameras = state.cameras(self.bundle.camera.parameters)
        cameras[self.bundle.fixed] = self.bundle.cameras[self.bundle.fixed]
        return replace(self.bundle, cameras=cameras, points=state.points)
