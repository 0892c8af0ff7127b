"""Members drawn by a flow or a diffusion of what an advected forecast leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from showers import INPUT, LEADS, SIZE, TEST, TINY, TRAIN, WANTED, learned, with_members
from thalweg import HandshakeError, Hold, OptionError, Registry, RunError, Signature
from thalweg.components.context import context_of
from thalweg.components.steering import Steering
from thalweg.laws import AreaMean
from thalweg.learning import SteeredSolver
from thalweg.losses import Absolute
from thalweg.testing import check_method
from thalweg_earth.laws.mean_intensity import MeanIntensity
from thalweg_prediff.crps_nowcast import CRPSNowcast
from thalweg_prediff.flow_nowcast import FlowNowcast
from thalweg_probconserv.enforcers.penalty import Penalty

SMALL: dict[str, Any] = {**TINY, "steps": 3}


def steered(folder: Path, **options: Any) -> SteeredSolver:
    made = learned(FlowNowcast, folder, **{"steps": 3, **options})
    assert isinstance(made, SteeredSolver)
    return made


@pytest.fixture(scope="module")
def solver(tmp_path_factory: pytest.TempPathFactory) -> SteeredSolver:
    return steered(tmp_path_factory.mktemp("flow"))


def steering(law: Any, inputs: xr.Dataset = INPUT) -> Steering:
    hold = Hold((law,), Registry.installed().make("enforcers", "conditioned-sampling"))  # type: ignore[arg-type]
    return Steering([hold], TEST.grid, lambda hold: context_of(inputs, WANTED))  # noqa: ARG005


def test_it_keeps_the_contract() -> None:
    check_method(FlowNowcast(members=2, units=(4,), blocks=1, fold=1, steps=2))


def test_members_are_rain(solver: SteeredSolver) -> None:
    found = solver.solve(INPUT, WANTED).rain
    assert found.dims == ("sample", "member", "lead", "y", "x") and found.dtype == np.float32
    assert found.sizes["member"] == 3
    assert float(found.min()) == 0.0 and 0.2 < float((found == 0.0).mean()) < 1.0
    assert float(found.std("member").mean()) > 0.1


def test_a_member_alone_is_the_same_bits(solver: SteeredSolver) -> None:
    together = with_members(solver, 6).solve(INPUT, WANTED).rain
    xr.testing.assert_identical(together.isel(member=slice(0, 3)), solver.solve(INPUT, WANTED).rain)
    one_by_one = with_members(solver, 3, batch=1).solve(INPUT, WANTED).rain
    xr.testing.assert_identical(together.isel(member=slice(0, 3)), one_by_one)
    module = solver.network.built["module"]
    noise = {name: torch.randn(1, 3, *shape) for name, shape in (("motions", (2,)), ("starts", (LEADS, SIZE, SIZE)))}
    past = torch.from_numpy(INPUT.rain.values[:1, ..., None]) / 100
    with torch.inference_mode():
        whole = module(past, noise)
        for member in range(3):
            alone = module(past, {name: each[:, member : member + 1] for name, each in noise.items()})
            assert torch.equal(alone[:, 0], whole[:, member])


@pytest.mark.parametrize(
    ("learns", "sampler"),
    [("flow", "heun"), ("v", "ddim"), ("epsilon", "ddpm"), ("x0", "dpm-solver++")],
)
def test_each_objective_and_sampler_obeys_while_it_draws(learns: str, sampler: str, tmp_path: Path) -> None:
    made = steered(tmp_path, learns=learns, sampler=sampler)
    free = made.solve(INPUT, WANTED).rain
    assert bool(np.isfinite(free).all())
    law = AreaMean(variable="rain", weights="equal", target=15.0)
    held = made.sample(INPUT, WANTED, steering(law)).rain
    np.testing.assert_allclose(held.mean(("y", "x"), dtype="float64"), 15.0, rtol=1e-5)
    assert float(held.min()) >= 0.0


def test_before_it_learns_a_flow_dresses_the_forecast(tmp_path: Path) -> None:
    """With the spectrum of the residuals: their variance, at each lead."""
    made = steered(tmp_path, spread=0.0, dry=None, gap=0.0)
    made.solve(INPUT, WANTED)
    module = made.network.built["module"]
    for each in module.network.parameters():
        torch.nn.init.zeros_(each)
    many = torch.randn(1, 150, LEADS, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    noise = {"starts": many, "motions": torch.zeros(1, 150, 2)}
    past = torch.from_numpy(INPUT.rain.values[:1, ..., None]) / 100
    module.drawing = replace(module.drawing, steps=20)
    with torch.inference_mode():
        drawn = module(past, noise)[0, ..., 0]
        wanted = module.size * module.colour(many[0])
    ratio = drawn.var(0).mean((1, 2)) / wanted.var(0).mean((1, 2))
    np.testing.assert_allclose(ratio, 1.0, atol=0.15)


def named(**options: Any) -> Any:
    return Registry.installed().make("methods", {"flow-nowcast": {**SMALL, **options}})


def test_what_does_not_fit_is_refused_before_it_learns() -> None:
    with pytest.raises(OptionError, match=r"`sampler: ddim` does not draw what `learns: flow` has"):
        named(sampler="ddim")
    with pytest.raises(OptionError, match=r"`gap: 5\.0` lies below a `dry`"):
        named(gap=5.0)
    with pytest.raises(OptionError, match="fields of 16 x 16 cells with `fold: 2` and 5 levels"):
        FlowNowcast(**{**SMALL, "units": (4, 4, 4, 4, 4)}).demand(TRAIN.given, TRAIN.wanted, {})
    with pytest.raises(HandshakeError, match="the last 4 inputs, of 3"):
        FlowNowcast(**{**SMALL, "frames": 4}).check(TRAIN.given)
    both = Signature((*TRAIN.given.fields, replace(TRAIN.given.fields[0], name="other")), TRAIN.given.sizes)
    with pytest.raises(HandshakeError, match="continues one field of maps"):
        FlowNowcast(**SMALL).check(both)
    with pytest.raises(OptionError, match="minimises a loss of its own"):
        FlowNowcast(**SMALL).demand(TRAIN.given, TRAIN.wanted, {"loss": Absolute()})


def test_the_plan_knows_its_members_and_memory() -> None:
    learner = FlowNowcast(**SMALL)
    assert learner.gives(TRAIN.given, TRAIN.wanted).sizes["member"] == 3
    small, large = (
        FlowNowcast(**{**SMALL, "units": (each,)}).demand(TRAIN.given, TRAIN.wanted, {}) for each in (8, 64)
    )
    assert 0 < small.memory < large.memory


def test_rain_that_is_asked_of_a_dry_member_is_refused_by_name(solver: SteeredSolver) -> None:
    dry = INPUT.copy(deep=True)
    dry["rain"][1] = 0.0
    made = with_members(solver, 2)
    made.solve(dry, WANTED)
    module = made.network.built["module"]
    module.size.fill_(1e-4)
    law = AreaMean(variable="rain", weights="equal", target=20.0)
    time = str(dry["reference_time"].values[1])[:16]
    with pytest.raises(RunError, match=f"(area-mean|AreaMean) cannot be held on the sample of {time}, member 0"):
        made.sample(dry, WANTED, steering(law, dry))


def test_members_have_the_mean_intensity_that_is_asked_for(solver: SteeredSolver) -> None:
    """Over cells and leads; with its noise they go a part of the way."""
    asked = {n: MeanIntensity(variable="rain", step=0.1, deviations=n) for n in (-2.0, 4.0)}
    context = context_of(INPUT, WANTED)
    free = solver.solve(INPUT, WANTED).rain.mean(("lead", "y", "x"))
    for law in asked.values():
        target = law.targets(context, TEST.grid)[:, 0].values[:, None]
        held = solver.sample(INPUT, WANTED, steering(law)).rain.mean(("lead", "y", "x"), dtype="float64")
        np.testing.assert_allclose(held, np.broadcast_to(target, held.shape), rtol=1e-5)
        soft = solver.sample(INPUT, WANTED, steering(law.model_copy(update={"uncertain": True}))).rain
        left = abs(soft.mean(("lead", "y", "x")) - target).mean()
        assert 1e-3 < float(left) < float(abs(free - target).mean())


@pytest.mark.parametrize(("kind", "options"), [(FlowNowcast, {"steps": 2}), (CRPSNowcast, {})])
def test_a_law_may_be_a_penalty_while_it_learns(kind: Any, options: dict[str, Any], tmp_path: Path) -> None:
    """Of the denoised estimates, or of the two members, in the units of the field."""
    hold = Hold((AreaMean(variable="rain", weights="equal", target=40.0),), Penalty(weight=1e-2))
    found = [
        learned(kind, tmp_path / str(number), holds=holds, epochs=3, **options).solve(INPUT, WANTED).rain
        for number, holds in enumerate([(), (hold,)])
    ]
    assert float(found[1].mean()) > float(found[0].mean()) + 0.1
