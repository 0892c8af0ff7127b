"""Laws nearly held while sampling, as published: the formula, member by member, and what sees the laws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from thalweg import Denoised, Draw, Fields, Hold, Noise, RunError, Samples
from thalweg.components.context import context_of
from thalweg.components.steering import Steering
from thalweg.laws import AreaMean
from thalweg.testing import check_enforcer, series, windowed
from thalweg_prediff.knowledge_alignment import KnowledgeAlignment
from thalweg_prediff.path import Diffusion
from thalweg_prediff.samplers import posterior, sample
from torch import Tensor

TEST = Samples.of(windowed(series(steps=12), inputs=2, targets=2).load(), "test")
INPUT, WANTED = TEST.inputs(slice(0, 2)), TEST.first(2).wanted
MEAN = AreaMean(variable="field", weights="equal", target=0.4)


def steering(law: Any = MEAN, **options: Any) -> Steering:
    hold = Hold((law,), KnowledgeAlignment.model_validate(options))
    return Steering([hold], TEST.grid, lambda hold: context_of(INPUT, WANTED))  # noqa: ARG005


@pytest.mark.parametrize("gain", ["std", "variance"])
def test_it_keeps_the_contract(gain: str) -> None:
    """It does not claim to be exact: residuals are nearer than in free draws."""
    enforcer = KnowledgeAlignment.model_validate({"gain": gain})
    assert not enforcer.exact and not enforcer.conditional()
    check_enforcer(enforcer)


# ---- the formula


def fields(means: Tensor) -> Fields:
    """Of two samples and members, of means (item, lead)."""
    wide = means[:, :, None, None].expand(-1, -1, 6, 8).unflatten(0, (2, -1))
    return Fields({"field": wide}, {"field": ("sample", "member", "lead", "y", "x")}, {"field": "1"})


def state(noise: Noise, *, aligned: bool) -> tuple[Denoised, Tensor]:
    """States (item, lead); the network sees twice their values, the denoiser half of them."""
    noisy = torch.tensor([[0.1, 0.3], [0.7, -0.4], [0.25, 0.2], [1.0, 0.0]])
    now = Denoised.of(
        lambda z: 0.5 * z,
        noisy,
        decode=fields,
        noise=noise,
        draw=Draw(0, ("a", "b"), (0, 1)),
        aligned=(lambda z: fields(2.0 * z)) if aligned else None,
    )
    return now, noisy


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("gain", ["std", "variance"])
def test_the_next_state_moves_by_the_published_formula(aligned: bool, gain: str) -> None:
    now, noisy = state(Noise(0.6, 0.8, gain=0.25, deviation=0.3), aligned=aligned)
    found = steering(gain=gain, weight=7.0)(now)
    slope = 2.0 if aligned else 0.5
    residual = slope * noisy - 0.4
    amount = 0.3 if gain == "std" else 0.09
    moved = -amount * 7.0 * slope * residual / residual.norm(dim=1, keepdim=True)
    torch.testing.assert_close(0.25 * (found - 0.5 * noisy), moved)


def test_a_member_that_obeys_and_the_last_step_are_left_alone() -> None:
    now, noisy = state(Noise(0.6, 0.8, gain=0.25, deviation=0.3), aligned=False)
    obeys = torch.full_like(noisy, 0.8)
    obeys[1] = 0.0
    now = Denoised.of(lambda z: 0.5 * z, obeys, decode=fields, noise=now.noise, draw=now.draw)
    found = steering()(now)
    assert torch.equal(found[[0, 2, 3]], 0.5 * obeys[[0, 2, 3]]) and not torch.equal(found[1], 0.5 * obeys[1])
    last, noisy = state(Noise(0.6, 0.8, last=True), aligned=True)
    assert torch.equal(steering()(last), 0.5 * noisy)


@pytest.mark.parametrize("kind", ["ddpm", "ddim", "dpm-solver++"])
def test_each_sampler_says_the_deviation_of_its_next_state(kind: Any) -> None:
    """Where it adds no noise, too: else what is multiplied by it would do nothing."""
    levels, seen = Diffusion().levels(6), []

    def denoise(state: Tensor, step: Any) -> Tensor:
        seen.append((step.level, step.deviation, step.last))
        return 0.5 * state

    sample(kind, torch.ones(2, 3), levels, denoise=denoise, noise=lambda number: torch.zeros(2, 3))  # noqa: ARG005
    for (level, deviation, last), then in zip(seen, levels[1:], strict=True):
        assert deviation == (0.0 if last else posterior(level, then)[2])
        assert last or deviation > 0.0


def test_a_gradient_that_is_not_finite_is_refused_with_its_member() -> None:
    now, noisy = state(Noise(0.6, 0.8, gain=0.25, deviation=0.3), aligned=False)
    noisy = noisy.clone()
    noisy[3, 0] = 0.0

    def denoise(states: Tensor) -> Tensor:
        # A root, of which one is at 0.
        return states.abs().sqrt()

    now = Denoised.of(denoise, noisy, decode=fields, noise=now.noise, draw=now.draw)
    with pytest.raises(RunError, match=r"while sampling is not finite: the sample of \S+, member 1, norm of its"):
        steering()(now)
