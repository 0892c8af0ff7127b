"""Conditioning while sampling against an exact Gaussian, whose conditional law is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from thalweg.errors import OptionError, RunError
from thalweg_probconserv.tweedie import Given, Saturated, conditioned

CELLS = 48
STEPS = 20
MEMBERS = 2000


def gaussian() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean, and a covariance whose variance is not uniform: a storm in one place."""
    cell = torch.arange(CELLS, dtype=torch.float64)
    spread = 0.5 + 1.5 * torch.exp(-(((cell - 30) / 8) ** 2))
    near = torch.exp(-(cell[:, None] - cell).abs() / 5)
    return 1 + torch.sin(cell / 7), spread[:, None] * spread * near


def law(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows, and targets two standard deviations above the mean."""
    mean, covariance = gaussian()
    count = {"mean": 1, "blocks": 6}[kind]
    size = CELLS // count
    rows = torch.kron(torch.eye(count, dtype=torch.float64), torch.ones(1, size, dtype=torch.float64) / size)
    return rows, rows @ mean + 2 * (rows @ covariance @ rows.T).diagonal().sqrt()


def flow(steps: int) -> list[tuple[float, float]]:
    return [(max(k / steps, 1e-3), 1 - max(k / steps, 1e-3)) for k in range(steps + 1)]


def diffusion(steps: int) -> list[tuple[float, float]]:
    """Signals and scales of a variance-preserving path, ending clean."""
    levels = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64)
    signal = torch.cos(levels * (np.pi / 2) * 0.999)
    return [(float(a), float((1 - a**2).clamp(min=0).sqrt())) for a in signal]


def drawn(levels, *, rows=None, targets=None, seed=0, ancestral=False, **options) -> torch.Tensor:
    """Samples of the Gaussian by its exact denoiser, held to a law if one is given."""
    mean, covariance = gaussian()
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(MEMBERS, CELLS, dtype=torch.float64, generator=generator)
    eye = torch.eye(CELLS, dtype=torch.float64)
    for (a, s), (b, r) in itertools.pairwise(levels):
        noisy = state.clone().requires_grad_()
        gain = a * torch.linalg.solve(a * a * covariance + s * s * eye, covariance)
        estimate = mean + (noisy - a * mean) @ gain
        found = estimate.detach()
        if rows is not None:
            found = conditioned(
                Given(estimate, noisy, signal=a, scale=s, members=MEMBERS),
                lambda x: x @ rows.T - targets,
                variance=torch.zeros(len(rows), dtype=torch.float64),
                **options,
            )
        implied = (state - a * found) / s
        if ancestral and r > 0 and a > 0:
            ratio = a / b
            added = s**2 - ratio**2 * r**2
            noise = torch.randn(state.shape, dtype=torch.float64, generator=generator)
            state = (b * added * found + ratio * r**2 * state) / s**2 + (added * r**2 / s**2) ** 0.5 * noise
        else:
            state = b * found + r * implied
    return state


def distance(samples: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor) -> float:
    """Squared Wasserstein-2 distance of the samples' Gaussian to another, over its trace."""

    def root(matrix: torch.Tensor) -> torch.Tensor:
        values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
        return (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    found, half = torch.cov(samples.T), root(covariance)
    shift = (samples.mean(0) - mean).square().sum()
    return float((shift + (found + covariance - 2 * root(half @ found @ half)).trace()) / covariance.trace())


def conditional(rows, targets):
    mean, covariance = gaussian()
    gain = covariance @ rows.T @ torch.linalg.inv(rows @ covariance @ rows.T)
    return mean - gain @ (rows @ mean - targets), covariance - gain @ rows @ covariance


PATHS = {"flow": (flow, False), "ddim": (diffusion, False), "ddpm": (diffusion, True)}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["mean", "blocks"])
def test_samples_are_of_the_conditional_law(path, kind):
    levels, ancestral = PATHS[path]
    rows, targets = law(kind)
    mean, covariance = gaussian()
    free = distance(drawn(levels(STEPS), ancestral=ancestral), mean, covariance)
    samples = drawn(levels(STEPS), rows=rows, targets=targets, ancestral=ancestral)
    assert float((samples @ rows.T - targets).abs().max()) < 1e-12
    assert distance(samples, *conditional(rows, targets)) <= 1.2 * free


@pytest.mark.parametrize("covariance", ["identity", "diagonal", "ensemble"])
def test_other_covariances_hold_the_law_in_another_distribution(covariance):
    rows, targets = law("mean")
    samples = drawn(flow(STEPS), rows=rows, targets=targets, covariance=covariance)
    assert float((samples @ rows.T - targets).abs().max()) < 1e-12
    wrong = distance(samples, *conditional(rows, targets))
    exact = distance(drawn(flow(STEPS), rows=rows, targets=targets), *conditional(rows, targets))
    assert wrong > 2 * exact


def test_a_law_that_is_true_leaves_every_sample_as_it_is():
    rows = torch.zeros(2, CELLS, dtype=torch.float64)
    held = drawn(flow(STEPS), rows=rows, targets=torch.zeros(2, dtype=torch.float64))
    assert torch.equal(held, drawn(flow(STEPS)))


def test_a_law_with_noise_pulls_as_far_as_its_noise_lets_it():
    # One cell, prior N(0, 1) seen without noise as good as at all: the posterior mean of a noisy target.
    noisy = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    estimate = 0.5 * noisy  # Var[x | z] = s^2 / a * 0.5 = 0.5 at a = s = 1
    found = conditioned(
        Given(estimate, noisy, signal=1.0, scale=1.0),
        lambda x: x - 3.0,
        variance=torch.tensor([0.25], dtype=torch.float64),
    )
    assert float(found) == pytest.approx(0.5 / 0.75 * 3.0)


def test_a_law_that_is_not_linear_is_met_by_newton():
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(5, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    estimate = state * torch.linspace(0.5, 1.5, 6, dtype=torch.float64)
    found = conditioned(
        Given(estimate, state, signal=0.5, scale=0.5),
        lambda x: torch.stack([x.exp().mean(1) - 2.0, x[:, 0] + x[:, 0] ** 3 - 0.2], 1),
        variance=torch.zeros(2, dtype=torch.float64),
        passes=30,
        tolerance=1e-13,
    )
    assert float((found.exp().mean(1) - 2.0).abs().max()) < 1e-12
    assert float((found[:, 0] + found[:, 0] ** 3 - 0.2).abs().max()) < 1e-12


def test_a_saturated_row_and_one_that_says_nothing_are_left_out():
    state = torch.full((2, 4), -1.0, dtype=torch.float64, requires_grad=True)
    estimate = 1.0 * state

    def residual(x):
        rain = x.clamp(min=0.0).mean(1) - 1.0  # All dry: no gradient.
        return torch.stack([rain, x.sum(1), torch.full_like(rain, torch.nan)], 1)

    found = conditioned(
        Given(estimate, state, signal=0.5, scale=0.5), residual, variance=torch.zeros(3, dtype=torch.float64), passes=1
    )
    np.testing.assert_allclose(found.numpy(), 0.0, atol=1e-15)


def test_each_item_is_held_by_itself():
    rows, targets = law("mean")
    mean, covariance = gaussian()
    state = torch.randn(3, CELLS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def held(which):
        noisy = state[which].clone().requires_grad_()
        # Not linear, so that each item has a covariance of its own.
        estimate = mean + (noisy + 0.1 * noisy**3) @ (covariance / 2)
        return conditioned(
            Given(estimate, noisy, signal=0.5, scale=0.5),
            lambda x: x @ rows.T - targets,
            variance=torch.zeros(1, dtype=torch.float64),
        )

    together = held(slice(None))
    for item in range(3):
        torch.testing.assert_close(held(slice(item, item + 1))[0], together[item], rtol=1e-12, atol=1e-12)


def test_members_that_are_needed_and_not_there_are_refused():
    state = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(OptionError, match="'ensemble' with 1 member"):
        conditioned(
            Given(1.0 * state, state, signal=0.5, scale=0.5),
            lambda x: x.sum(1, keepdim=True),
            variance=torch.zeros(1, dtype=torch.float64),
            covariance="ensemble",
        )


def test_a_level_without_signal_says_nothing_of_the_covariance():
    state = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    found = conditioned(
        Given(1.0 * state, state, signal=0.0, scale=1.0),
        lambda x: x.sum(1, keepdim=True),
        variance=torch.zeros(1, dtype=torch.float64),
    )
    assert torch.equal(found, state.detach())


def test_what_is_not_finite_stops():
    state = torch.full((1, 2), torch.inf, dtype=torch.float64, requires_grad=True)
    with pytest.raises(RunError, match="not finite"):
        conditioned(
            Given(1.0 * state, state, signal=0.5, scale=0.5),
            lambda x: x.sum(1, keepdim=True) - 1.0,
            variance=torch.zeros(1, dtype=torch.float64),
        )


def test_at_the_last_step_a_certain_estimate_becomes_the_nearest_that_obeys():
    state = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    estimate = 0.0 * state + torch.arange(4.0)
    found = conditioned(
        Given(estimate, state, signal=0.5, scale=0.5),
        lambda x: x.mean(1, keepdim=True) - 2.0,
        variance=torch.zeros(1, dtype=torch.float64),
        passes=30,
        last=True,
    )
    torch.testing.assert_close(found, (torch.arange(4.0) + 0.5).double().expand(2, 4))


def test_at_the_last_step_a_dry_estimate_that_is_to_rain_is_refused():
    estimate = torch.ones(6, 4, dtype=torch.float64)
    estimate[4] = -1.0
    state = torch.zeros_like(estimate).requires_grad_()
    with pytest.raises(Saturated) as found:
        conditioned(
            Given(estimate + state, state, signal=0.5, scale=0.5),
            lambda x: torch.stack([x[:, 0], x.clamp(min=0.0).mean(1) - 2.0], 1),
            variance=torch.tensor([1.0, 0.0], dtype=torch.float64),
            passes=30,
            last=True,
        )
    assert (found.value.item, found.value.row) == (4, 1)
