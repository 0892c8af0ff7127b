"""PreDiff as one method: three phases, drawn in latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file
from thalweg import EstimateError, HandshakeError, Hold, OptionError, Registry, RunError, Samples, Signature
from thalweg.components.context import context_of
from thalweg.components.steering import Steering
from thalweg.laws import AreaMean, Bounds
from thalweg.learning import SteeredSolver
from thalweg.testing import check_method, series, windowed
from thalweg.testing.toy_learner import learn, learn_in_two
from thalweg_prediff.autoencoder_learner import AutoencoderLearner
from thalweg_prediff.denoiser_learner import DenoiserLearner
from thalweg_prediff.knowledge_alignment import KnowledgeAlignment
from thalweg_prediff.latent_learner import TINY
from thalweg_prediff.latent_sampler import _drawn
from thalweg_prediff.prediff import PreDiff

DATA = windowed(series(steps=20), inputs=2, targets=2).load()
TEST, TRAIN = Samples.of(DATA, "test"), Samples.of(DATA, "train")
INPUT = TEST.inputs(slice(0, 2))
WANTED = TEST.first(2).wanted
REGISTRY = Registry.installed()
OPTIONS: dict[str, Any] = {"epochs": 1, "batch": 4, "ema": 0.99, "learning_rate": 1e-2}


def made(**options: Any) -> PreDiff:
    return PreDiff.model_validate({**TINY, "members": 3, "steps": 3, **options})


def learned(folder: Path, **options: Any) -> SteeredSolver:
    found = learn(made(**options), DATA, folder, registry=REGISTRY, **OPTIONS)
    assert isinstance(found, SteeredSolver)
    return found


@pytest.fixture(scope="module")
def solver(tmp_path_factory: pytest.TempPathFactory) -> SteeredSolver:
    return learned(tmp_path_factory.mktemp("prediff"), aligned=True)


def other(solver: SteeredSolver, *, batch: int = 8, **options: Any) -> SteeredSolver:
    """The same weights, drawn in another way."""
    network = solver.network
    learner = PreDiff.model_validate({**network.learner.model_dump(), **options}).with_parts(network.parts)
    gives = learner.gives(network.given, network.wanted)
    found = replace(network, learner=learner, gives=gives, batch=batch, built={}).solver()
    assert isinstance(found, SteeredSolver)
    return found


def steering(inputs: xr.Dataset, by: Any = "conditioned-sampling", *, target: float = 0.4) -> Steering:
    law = AreaMean(variable="field", weights="equal", target=target)
    hold = Hold((law,), REGISTRY.make("enforcers", by))  # type: ignore[arg-type]
    return Steering([hold], TEST.grid, lambda hold: context_of(inputs, WANTED))  # noqa: ARG005


def test_it_keeps_the_contract() -> None:
    check_method(PreDiff.model_validate(PreDiff.example), DATA)


def test_a_member_alone_is_the_same_bits(solver: SteeredSolver) -> None:
    together = other(solver, members=5).solve(INPUT, WANTED).field
    assert together.dims == ("sample", "member", "lead", "y", "x") and together.dtype == np.float32
    assert float(together.std("member").mean()) > 0
    for options in ({"members": 3}, {"members": 2, "batch": 1}):
        found = other(solver, **options).solve(INPUT, WANTED).field
        xr.testing.assert_identical(together.isel(member=slice(0, options["members"])), found)


def test_the_noise_of_steps_is_normal_and_of_each_seed_and_step() -> None:
    seeds, like = torch.rand(3, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(4000)
    one, two = (_drawn(seeds, number, like=like) for number in (0, 1))
    assert torch.equal(one[1:2], _drawn(seeds[1:2], 0, like=like))
    both = torch.cat([one, two])
    np.testing.assert_allclose(torch.corrcoef(both), np.eye(6), atol=0.06)
    np.testing.assert_allclose(both.var(1), 1.0, atol=0.1)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm-solver++"])
def test_each_sampler_draws_and_obeys(solver: SteeredSolver, sampler: str) -> None:
    drawn = other(solver, sampler=sampler, members=2, steps=2)
    one, wanted_one = INPUT.isel(sample=[0]), TEST.first(1).wanted
    free = drawn.solve(one, wanted_one).field
    # What so small a decoder can make.
    wanted = float(free.mean())
    held = drawn.sample(one, wanted_one, steering(one, target=wanted)).field
    np.testing.assert_allclose(held.mean(("y", "x"), dtype="float64"), wanted, rtol=1e-5)
    assert float(abs(held - free).max()) > 1e-4


@pytest.mark.parametrize("learns", ["flow", "v"])
def test_other_objectives_learn_and_draw(learns: str, tmp_path: Path) -> None:
    found = learned(tmp_path, learns=learns)
    assert bool(np.isfinite(found.solve(INPUT, WANTED).field).all())


def test_the_running_mean_of_the_denoiser_is_what_draws(solver: SteeredSolver, tmp_path: Path) -> None:
    """The published implementation keeps it, and draws without it."""
    learner = DenoiserLearner.model_validate(TINY)
    found = learn(learner, DATA, tmp_path, registry=REGISTRY, **OPTIONS)
    (file,) = [each for each in tmp_path.rglob("checkpoint.safetensors") if "autoencoder" not in each.parts]
    kept = load_file(file)
    solver.solve(INPUT, WANTED)
    drawing = solver.network.built["module"].diffusion.module.state_dict()
    for name in ("denoiser.final_proj.weight", "log_variance"):
        raw, mean = (kept[f"{kind}/network/{name}"] for kind in ("module", "mean"))
        assert float((raw - mean).abs().max()) > 1e-4
        for weights in (found.state[name], solver.parts["denoiser"].state[name], drawing[name]):
            np.testing.assert_array_equal(np.asarray(weights), mean.numpy())


def test_an_interrupted_training_goes_on_in_its_phase(solver: SteeredSolver, tmp_path: Path) -> None:
    """Within the denoiser's, the autoencoder being there: bit-equal in the end."""
    steps = -(-len(TRAIN) // OPTIONS["batch"])
    found: Any = learn_in_two(made(aligned=True), DATA, tmp_path, at=steps + 2, registry=REGISTRY, **OPTIONS)
    xr.testing.assert_identical(found.solve(INPUT, WANTED), solver.solve(INPUT, WANTED))


def test_a_critic_is_learned_beside_the_autoencoder_and_not_kept(tmp_path: Path) -> None:
    curves: list[Mapping[str, float]] = []
    whole = series(steps=12).load()
    tiled = np.tile(whole.field.values, (1, 4, 3))
    data = windowed(whole.drop_dims(("y", "x")).assign(field=(("time", "y", "x"), tiled, whole.field.attrs)), inputs=2)
    learner = AutoencoderLearner.model_validate({**TINY, "adversarial": 0.5, "adversarial_after": 1})
    found = learn(learner, data, tmp_path, report=lambda n, _: curves.append(n), **OPTIONS)
    assert not any("critic" in name for name in found.state)
    assert {"network/balance/train", "critic/loss/train", "network/reconstruction/validate"} <= curves[-1].keys()
    with pytest.raises(OptionError, match="accumulate"):
        learner.demand(Samples.of(data, "train").given, Samples.of(data, "train").wanted, {"batch": 4, "accumulate": 2})


def test_latents_that_are_not_finite_stop_with_step_member_and_statistics(solver: SteeredSolver) -> None:
    found = other(solver, members=3)
    found.solve(INPUT, WANTED)
    module = found.network.built["module"]
    estimates = module._estimates

    def broken(states: torch.Tensor, **named: Any) -> torch.Tensor:
        made: torch.Tensor = estimates(states, **named)
        if named["level"].time < 600:
            made[4, 0, 0, 0, 0] = torch.nan
        return made

    module._estimates = broken
    with pytest.raises(
        EstimateError,
        match=r"the denoised estimate of step 3 is not finite: sample 1 of the batch, member 1; 1 of \d+ latents are "
        r"not finite, the others have mean \S+ and go from \S+ to \S+",
    ):
        found.solve(INPUT, WANTED)


def test_a_target_that_no_latents_have_is_refused_by_name(solver: SteeredSolver) -> None:
    found = other(solver, members=2, steps=1)
    time = str(INPUT["reference_time"].values[0])[:16]
    with pytest.raises(RunError, match=rf"cannot be held on the sample of {time}, member 0: a residual of \S+ is left"):
        found.sample(INPUT, WANTED, steering(INPUT, target=9.0))


# ---- with the alignment network

RANGE = Bounds(variable="field", lower=0.45, upper=0.5)


def aligning(law: Any = None, **options: Any) -> Steering:
    hold = Hold(
        (law or AreaMean(variable="field", weights="equal", target=0.4),), KnowledgeAlignment.model_validate(options)
    )
    return Steering([hold], TEST.grid, lambda hold: context_of(INPUT, WANTED))  # noqa: ARG005


@pytest.mark.parametrize("through", ["network", "fields"])
def test_a_member_is_moved_as_it_is_alone(solver: SteeredSolver, through: str) -> None:
    """Published is one norm of the whole batch: of four members each would be moved by half."""
    laws = {"through": through, "weight": 5.0}
    together = other(solver, members=4).sample(INPUT, WANTED, aligning(**laws)).field
    found = other(solver, members=2, batch=1).sample(INPUT, WANTED, aligning(**laws)).field
    xr.testing.assert_allclose(together.isel(member=slice(0, 2)), found, rtol=1e-5)
    free = other(solver, members=2).solve(INPUT, WANTED).field
    assert float(abs(found - free).max()) > 1e-5


def test_a_law_of_more_than_means_is_seen_through_the_decoder(solver: SteeredSolver) -> None:
    by_itself, through = (
        other(solver, members=2).sample(INPUT, WANTED, aligning(RANGE, weight=5.0, through=each)).field
        for each in (None, "fields")
    )
    xr.testing.assert_identical(by_itself, through)
    with pytest.raises(OptionError, match="`through: network`, and Bounds is of more than means of frames"):
        other(solver, members=2).sample(INPUT, WANTED, aligning(RANGE, through="network"))
    plain = other(solver, members=2, aligned=False)
    with pytest.raises(OptionError, match="`through: network`, and no alignment network was learned"):
        plain.sample(INPUT, WANTED, aligning(through="network"))


# ---- the plan


def test_what_draws_changes_no_training_and_each_phase_only_later_ones() -> None:
    base: dict[str, Any] = {"aligned": True, "alignment_train": {"epochs": 3}}

    def trainings(**method: Any) -> dict[str, Any]:
        found = {}
        for phase in made(**{**base, **method}).phases(OPTIONS):
            found[phase.name] = [phase.learner.model_dump(), dict(phase.options)]
            for each in phase.learner.phases(phase.options):
                # One autoencoder, whoever asks for it.
                assert [each.learner.model_dump(), dict(each.options)] == found["autoencoder"]
                found[phase.name].append(found["autoencoder"])
        return found

    before = trainings()
    assert list(before) == ["autoencoder", "denoiser", "alignment"]

    def changed(**method: Any) -> set[str]:
        after = trainings(**method)
        return {name for name, each in before.items() if after.get(name) != each}

    assert changed(sampler="ddpm", steps=4, members=4, together=2) == set()
    assert changed(aligned=False, alignment_train=None) == {"alignment"}
    assert changed(alignment_train={"epochs": 2}) == {"alignment"}
    assert changed(balanced=False) == {"denoiser"}
    assert changed(autoencoder_train={"epochs": 2}) == {"autoencoder", "denoiser", "alignment"}


@pytest.mark.parametrize(
    ("family", "counts"),
    [("released", (84_499_393, 136_817_538, 8_937_033)), ("paper", (83_649_253, 136_371_918, 8_721_873))],
)
def test_the_preset_sevir_lr_has_the_published_counts(family: str, counts: tuple[int, ...]) -> None:
    field = TRAIN.given.fields[0]
    given, wanted = (
        Signature((replace(field, dims=("sample", "lead", "y", "x")),), {"sample": 1, "lead": n, "y": 128, "x": 128})
        for n in (7, 6)
    )
    learner = PreDiff.model_validate({"preset": "sevir-lr", "family": family, "aligned": True, "balanced": False})
    phases = {phase.name: phase.learner for phase in learner.phases({})}
    with torch.device("meta"):
        coder: Any = phases["autoencoder"]
        parts = {"autoencoder": coder}
        found = [coder.build(given, wanted)]
        for name in ("denoiser", "alignment"):
            own: Any = phases[name].on_phases(parts, given, wanted)
            found.append(own.build(given, wanted))
    assert tuple(sum(each.numel() for each in network.parameters()) for network in found) == counts


def test_the_plan_knows_members_and_memory() -> None:
    assert made().gives(TRAIN.given, TRAIN.wanted).sizes["member"] == 3
    small, large = (made(units=each).demand(TRAIN.given, TRAIN.wanted, {}).memory for each in (8, 64))
    assert 0 < small < large


def test_what_does_not_fit_is_refused_before_it_learns() -> None:
    with pytest.raises(OptionError, match=r"`sampler: euler` does not draw what `learns: epsilon` has"):
        REGISTRY.make("methods", {"prediff": {"sampler": "euler"}})
    with pytest.raises(OptionError, match=r"`steps: 1001` of a diffusion that has 1000"):
        REGISTRY.make("methods", {"prediff": {"steps": 1001}})
    with pytest.raises(OptionError, match="frames of 6 x 8 cells, halved 2 times"):
        made(autoencoder_units=(4, 4, 4)).check(TRAIN.given)
    with pytest.raises(OptionError, match=r"phase denoiser: latents of 3 x 4 cells on 2 levels"):
        made(depth=(1, 1)).demand(TRAIN.given, TRAIN.wanted, {})
    with pytest.raises(OptionError, match="epochs: 0 is too small"):
        made(autoencoder_train={"epochs": 0}).demand(TRAIN.given, TRAIN.wanted, {})
    both = Signature((*TRAIN.given.fields, replace(TRAIN.given.fields[0], name="other")), TRAIN.given.sizes)
    with pytest.raises(HandshakeError, match="continues the fields that it is given"):
        made().demand(both, TRAIN.wanted, {})


def test_a_network_is_assembled_where_it_says_so() -> None:
    class Learns(PreDiff):
        """Says that it learns something of its own."""

        assembled = False

    with pytest.raises(HandshakeError, match=r"has nothing to learn, and it says `assembled = False`"):
        Learns.model_validate(TINY).demand(TRAIN.given, TRAIN.wanted, {})
