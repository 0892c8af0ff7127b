"""Enforcers of the `sampling` site that break a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import xarray as xr
from thalweg import Denoised, DifferentiableLaw, Held, Law, LinearLaw, SamplingEnforcer
from thalweg.testing import samplers


class Conditioned(SamplingEnforcer):
    r"""$\hat x - S H^T (H S H^T)^{-1} h$, $S = s^2 / a \; \partial \hat x / \partial z \; N$: of the denoiser."""

    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw, DifferentiableLaw)
    passes: ClassVar[int] = 12

    def conditional(self) -> bool:
        return True

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return held.joint.known(context)

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        point = state.estimate.detach()
        if state.noise.signal == 0.0:
            return point
        gaps, variance = held.joint.by_item(state.decode(state.estimate), known)
        spread, weights = self.spread(state, gaps), torch.zeros_like(gaps)
        for _ in range(self.passes if state.noise.last else 1):
            with torch.enable_grad():
                leaf = point.clone().requires_grad_()
                gaps, _ = held.joint.by_item(state.decode(leaf), known)
                if not bool((gaps != 0).any()):
                    return point
                matrix = jacobian(gaps, leaf) @ spread.transpose(1, 2) + torch.diag_embed(variance)
            # h = R l: what the noise of a law leaves of it.
            step = self.step(state, gaps.detach() - variance * weights, matrix)
            point, weights = point - (spread * step).sum(1), weights + step[..., 0]
        return point

    def spread(self, state: Denoised, gaps: torch.Tensor) -> torch.Tensor:
        """`S H'`, (item, row, cell)."""
        rows = jacobian(gaps, state.noisy)
        return state.noise.scale**2 / state.noise.signal * state.noise.times(rows)

    def step(self, state: Denoised, gaps: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.pinv(matrix, rtol=1e-10) @ gaps[:, :, None]


def jacobian(gaps: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    found = [torch.autograd.grad(gaps[:, row].sum(), by, retain_graph=True)[0] for row in range(gaps.shape[1])]
    return torch.stack(found, 1)


class Guided(SamplingEnforcer):
    """Down the gradient of each item's norm of residuals, as far as a step adds noise; nearly is enough."""

    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw, DifferentiableLaw)
    exact: ClassVar[bool] = False
    weight: float = 0.3

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return held.known(context)

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        gaps, _ = held.by_item(state.decode(state.estimate), known)
        size = gaps.square().sum(1)
        (gradient,) = torch.autograd.grad(size.sum(), state.estimate, retain_graph=True)
        length = gradient.square().sum(1, keepdim=True)
        return state.estimate - self.weight * size[:, None] / torch.where(length > 0, length, 1.0) * gradient


class Unheld(Conditioned):
    """Does nothing."""

    def conditional(self) -> bool:
        return False

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return state.estimate


class Linearised(Conditioned):
    """One step of Newton's method, which is enough where all is linear."""

    passes: ClassVar[int] = 1


class Nearest(Conditioned):
    """The nearest estimate that obeys: of another distribution."""

    def spread(self, state: Denoised, gaps: torch.Tensor) -> torch.Tensor:
        return jacobian(gaps, state.estimate)


class White(Conditioned):
    """Takes any noise to be white."""

    def spread(self, state: Denoised, gaps: torch.Tensor) -> torch.Tensor:
        return state.noise.scale**2 / state.noise.signal * jacobian(gaps, state.noisy)


class FixedNoise(Nearest):
    """The nearest estimate, and at the next state the noise that sampling began with, not the one that is implied."""

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        found = super().steer(state, held, known)
        noise = state.noise
        if noise.last or not bool((found != state.estimate).any()):
            return found
        start = torch.from_numpy(state.draw.at(0).normal("start", found.shape[1:], members=True))
        # Of a flow, whose signal and scale add up to 1.
        signal = noise.gain * noise.scale + noise.signal
        wanted = signal * found + (1 - signal) * start.flatten(0, 1).double()
        return (wanted - (1 - signal) / noise.scale * state.noisy.detach()) / noise.gain


class Nudges(Conditioned):
    """Moves what obeys."""

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        found = super().steer(state, held, known)
        return found + 1e-12 * (found == state.estimate)


class OfTheBatch(Conditioned):
    """Before the last step, by the residuals of all items."""

    def conditional(self) -> bool:
        return False

    def step(self, state: Denoised, gaps: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        own = gaps if state.noise.last else gaps.mean(0, keepdim=True).expand_as(gaps)
        return super().step(state, own, matrix)


class Divides(Conditioned):
    """By the signal, whatever it is."""

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return super().steer(state, held, known) / state.noise.signal * state.noise.signal


class Overwrites(Conditioned):
    """The noisy state."""

    def steer(self, state: Denoised, held: Held, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        found = super().steer(state, held, known)
        with torch.no_grad():
            state.estimate.copy_(found)
        return found


KEPT = Conditioned

MUTANTS = {
    samplers.last_estimate_obeys.__name__: Unheld,
    samplers.fields_behind_a_decoder_obey.__name__: Linearised,
    samplers.draws_are_of_the_conditional_distribution.__name__: (Nearest, White, FixedNoise),
    samplers.law_that_is_true_changes_nothing.__name__: Nudges,
    samplers.samples_do_not_see_one_another.__name__: OfTheBatch,
    samplers.noise_without_signal_is_no_fault.__name__: Divides,
    samplers.state_is_left_alone.__name__: Overwrites,
}
