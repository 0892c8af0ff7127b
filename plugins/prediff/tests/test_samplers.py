"""Samplers against an exact Gaussian, and against each other."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from thalweg.errors import OptionError
from thalweg_prediff.objective import estimate, path_of, target
from thalweg_prediff.path import CLEAN, Diffusion, Flow, Level
from thalweg_prediff.samplers import Step, ancestral, ddim, sample
from thalweg_prediff.schedule import Schedule

MEAN, DEVIATION = 1.0, 0.5


def exact(state: torch.Tensor, step: Step) -> torch.Tensor:
    """E[x | z] of x ~ N(MEAN, DEVIATION^2)."""
    a, s = step.level.signal, step.level.scale
    gain = a * DEVIATION**2 / (a * a * DEVIATION**2 + s * s)
    return MEAN + gain * (state - a * MEAN)


def drawn(kind: str, path, steps: int, count: int = 20_000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)

    def noise(number: int) -> torch.Tensor:  # noqa: ARG001
        return torch.randn(count, dtype=torch.float64, generator=generator)

    seen: list[Step] = []

    def denoise(state: torch.Tensor, step: Step) -> torch.Tensor:
        seen.append(step)
        return exact(state, step)

    found = sample(kind, noise(0), path.levels(steps), denoise=denoise, noise=noise)
    assert len(seen) == (2 * steps - 1 if kind == "heun" else steps)
    assert [step.last for step in seen] == [False] * (len(seen) - 1) + [True]
    return found


def states_of(kind: str, moved: int | None) -> tuple[list[torch.Tensor], list[Step]]:
    """The states and steps of a sampler whose estimates are 0, and 1 where one is moved."""
    path = Flow() if kind in ("euler", "heun") else Diffusion()
    zero = torch.zeros(1, dtype=torch.float64)
    states: list[torch.Tensor] = []
    steps: list[Step] = []

    def denoise(state: torch.Tensor, step: Step) -> torch.Tensor:
        states.append(state)
        steps.append(step)
        return zero + float(len(states) - 1 == moved)

    sample(kind, zero + 1.0, path.levels(4), denoise=denoise, noise=lambda number: zero)  # noqa: ARG005
    return states, steps


@pytest.mark.parametrize("kind", ["ddpm", "ddim", "dpm-solver++", "euler", "heun"])
@pytest.mark.parametrize("moved", [0, 1, 2])
def test_the_gain_is_what_the_next_state_has_of_an_estimate(kind: str, moved: int):
    states, steps = states_of(kind, moved)
    after = states[moved + 1] - states_of(kind, None)[0][moved + 1]
    assert float(after) == pytest.approx(steps[moved].gain, rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "path", "steps"),
    [
        ("ddim", Diffusion(), 200),
        ("ddpm", Diffusion(), 1000),
        ("dpm-solver++", Diffusion(), 20),
        ("euler", Flow(), 200),
        ("heun", Flow(), 20),
    ],
)
def test_samples_have_the_mean_and_spread_of_the_field(kind, path, steps):
    found = drawn(kind, path, steps)
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.03)
    assert float(found.std()) == pytest.approx(DEVIATION, rel=0.03)


def test_a_better_sampler_needs_fewer_steps():
    few = {kind: abs(float(drawn(kind, Flow(), 10).std()) - DEVIATION) for kind in ("euler", "heun")}
    assert few["heun"] < few["euler"] / 2


def test_one_ancestral_step_is_the_published_posterior():
    schedule = Schedule()
    for step in (999, 500, 100, 1):
        now, then = (
            Level(t, math.sqrt(schedule.signal[t]), math.sqrt(1 - schedule.signal[t])) for t in (step, step - 1)
        )
        state, clean, noise = (torch.tensor([each], dtype=torch.float64) for each in (0.3, -0.7, 1.1))
        wanted = (
            schedule.of_estimate[step] * clean
            + schedule.of_noisy[step] * state
            + math.sqrt(schedule.posterior_variance[step]) * noise
        )
        torch.testing.assert_close(ancestral(state, clean, now, then, noise), wanted, rtol=1e-9, atol=0)


def test_ddim_of_a_flow_is_euler():
    now, then = Flow().levels(4)[1:3]
    state, clean = torch.tensor([0.4]), torch.tensor([1.5])
    euler = state + (then.signal - now.signal) * (clean - state) / now.scale
    torch.testing.assert_close(ddim(state, clean, now, then), euler)


@pytest.mark.parametrize("kind", ["epsilon", "v", "x0", "flow"])
def test_what_is_learned_gives_the_clean_field_back(kind):
    path = path_of(kind, Schedule())
    clean, noise = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for share in (0.1, 0.5, 0.9):
        level = path.at(share)
        noisy = level.signal * clean + level.scale * noise
        a, s = torch.tensor(level.signal), torch.tensor(level.scale)
        torch.testing.assert_close(
            estimate(kind, target(kind, clean, noise, a, s), noisy, level), clean, check_dtype=False
        )


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
def test_levels_become_less_noisy_and_end_clean(spacing):
    levels = Diffusion(spacing=spacing).levels(7)
    assert len(levels) == 8
    assert levels[-1] is CLEAN
    assert all(one.scale > two.scale and one.signal < two.signal for one, two in itertools.pairwise(levels))
    assert spacing == "leading" or levels[0].time == 999


def test_steps_that_the_schedule_does_not_have_are_refused():
    with pytest.raises(OptionError, match="1001 steps"):
        Diffusion().levels(1001)
    with pytest.raises(OptionError, match="0 steps"):
        Flow().levels(0)
    with pytest.raises(OptionError, match="without signal"):
        estimate("epsilon", torch.zeros(1), torch.zeros(1), Level(0.0, 0.0, 1.0))
