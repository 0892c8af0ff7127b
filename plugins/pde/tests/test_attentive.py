"""The attentive neural process: its size, what it must not depend on, what it learns, laws on what it estimates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import Fitted, HandshakeError, Held, Hold, Law, OptionError, Registry, Samples, Signature
from thalweg.components.context import context_of
from thalweg.components.signature import Field
from thalweg.laws import grid_of
from thalweg.testing import check_method
from thalweg.testing.toy_learner import learn, learn_in_two
from thalweg_pde.attentive import AttentiveNeuralProcess as Process
from thalweg_pde.datasets.porous_medium import PorousMedium
from thalweg_pde.datasets.stefan import Stefan
from thalweg_pde.laws.nonlinear_diffusion import NonlinearDiffusion
from thalweg_pde.methods.attentive_neural_process import AttentiveNeuralProcess

SMALL: dict[str, Any] = {"width": 16, "latent": 8, "heads": 2, "draws": 8, "targets": 40}
ASKED: dict[str, Any] = {"times": (0.49, 0.5, 0.51), "drawn_times": True, "cells": 41, "context": 5, "chunk": 100}


def medium(**options: Any) -> xr.Dataset:
    return PorousMedium(**{**ASKED, "sizes": (200, 0, 6), **options}).open().compute()


def process(**options: Any) -> Process:
    torch.manual_seed(0)
    return Process(2, **{"width": 16, "latent": 8, "heads": 2, "dropout": 0.1, "draws": 20, **options}).eval()


def test_it_has_the_published_number_of_weights() -> None:
    samples = Samples.of(medium(sizes=(1, 0, 1)), "train")
    network = AttentiveNeuralProcess().build(samples.given, samples.wanted)
    assert sum(each.numel() for each in network.parameters()) == 989_826


def test_it_keeps_the_contract() -> None:
    check_method(AttentiveNeuralProcess(**{**SMALL, "targets": 20}), medium(sizes=(12, 0, 6)))


def test_a_context_has_no_order_and_targets_do_not_see_each_other() -> None:
    network, context, targets = process(), torch.rand(3, 10, 3), torch.rand(3, 7, 2)
    with torch.inference_mode():
        mean, variance = network(context, targets)
        again = network(context[:, torch.randperm(10)], targets)
        alone = network(context, targets[:, 2:3])
    for found, other, one in zip((mean, variance), again, alone, strict=True):
        torch.testing.assert_close(found, other)
        torch.testing.assert_close(found[:, 2:3], one)


def test_mean_and_variance_are_of_the_mixture() -> None:
    network, context, targets = process(draws=3), torch.rand(2, 6, 3), torch.rand(2, 5, 2)
    noise = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        prior = network.latent(context, drop=False)
        (vectors,) = network.deterministic(context, (targets,), drop=False)
        prepared = network.decoder.prepared(vectors, targets)
        parts = [network.decoder(prepared, prior.mean + prior.stddev * each) for each in noise]
        means, scales = (torch.stack([part[i] for part in parts]) for i in (0, 1))
        mean, variance = network(context, targets)
    torch.testing.assert_close(mean, means.mean(0))
    torch.testing.assert_close(variance, scales.square().mean(0) + means.var(0))


def test_the_decoder_takes_all_three_joined() -> None:
    decoder = process().decoder
    vectors, latent, targets = torch.rand(2, 5, 16), torch.rand(2, 8), torch.rand(2, 5, 2)
    with torch.inference_mode():
        hidden = torch.cat([vectors, latent.unsqueeze(1).expand(-1, 5, -1), decoder.lift(targets)], -1)
        for layer in (decoder.first, *decoder.layers):
            hidden = layer(hidden).relu()
        mean, scale = decoder(decoder.prepared(vectors, targets), latent)
        torch.testing.assert_close(mean, decoder.out(hidden)[..., 0])
        torch.testing.assert_close(scale, 1e-3 + decoder.out(hidden)[..., 1].exp().log1p())


def test_dropout_is_on_when_solving_only_if_asked_for() -> None:
    context, targets = torch.rand(2, 6, 3), torch.rand(2, 5, 2)
    with torch.inference_mode():
        plain, bare = process()(context, targets)[0], process(dropout=0.0)(context, targets)[0]
        torch.testing.assert_close(plain, bare)
        state = torch.get_rng_state()
        published = process(drops=True)
        one, other = published(context, targets)[0], published(context, targets)[0]
        torch.testing.assert_close(one, other)
        assert not torch.allclose(one, plain)
        torch.manual_seed(0)
        assert state.shape == torch.get_rng_state().shape


def test_the_bound_does_not_depend_on_how_targets_are_cut() -> None:
    network, context, targets, values = process(), torch.rand(2, 6, 3), torch.rand(2, 9, 2), torch.rand(2, 9)
    bounds = []
    for sets in ((targets,), (targets[:, :4], targets[:, 4:])):
        torch.manual_seed(1)
        means, bound = network.evidence(context, sets, values)
        bounds.append((torch.cat(means, -1), bound))
    for one, other in zip(*bounds, strict=True):
        torch.testing.assert_close(one, other)


def test_an_unknown_target_teaches_nothing() -> None:
    network, context, targets = process(), torch.rand(2, 6, 3), torch.rand(2, 9, 2)
    values = torch.rand(2, 9)
    values[:, 3] = torch.nan
    _, bound = network.evidence(context, (targets,), values)
    bound.sum().backward()
    assert all(bool(torch.isfinite(each.grad).all()) for each in network.parameters() if each.grad is not None)


def test_truth_is_at_the_drawn_times() -> None:
    data = medium(sizes=(4, 0, 6), test_exponent=(1.0, 3.0))
    for sample in range(10):
        one = data.isel(sample=sample)
        found = PorousMedium().solution(
            one.target_time.values[:, None], one.x.values[None], parameter=float(one.parameter)
        )
        np.testing.assert_array_equal(one.u.values, found)
    np.testing.assert_array_equal(data.parameter[4:], [1.0, 3.0] * 3)
    np.testing.assert_array_equal(data.target_time[4:], np.broadcast_to([0.49, 0.5, 0.51], (6, 3)))
    assert not (data.target_time[:4] == data.time).any()


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, Samples]:
    data = medium(test_exponent=(2.0, 4.0))
    learner, options = AttentiveNeuralProcess(**SMALL), {"epochs": 3, "batch": 4, "learning_rate": 3e-3}
    return learn(learner, data, tmp_path_factory.mktemp("learned"), **options), Samples.of(data, "test")


def test_it_learns(learned: tuple[Fitted, Samples]) -> None:
    solver, test = learned
    estimate, truth = solver.solve(test.inputs(slice(None)), test.wanted)["u"], test.truth(slice(None))["u"]
    assert float(((estimate - truth) ** 2).mean()) < 0.5 * float(truth.var())


@pytest.mark.parametrize("by", ["additive", "probconserv", {"probconserv": {"smoothing": "x"}}])
def test_the_mass_is_held_and_no_variance_grows(learned: tuple[Fitted, Samples], by: Any) -> None:
    solver, test = learned
    inputs, registry = test.inputs(slice(None)), Registry.installed()
    estimate = solver.solve(inputs, test.wanted)
    law: Any = registry.make(
        "laws", {"integral": {"variable": "u", "dims": ["x"], "weights": "trapezoid", "target": "mass"}}
    )
    enforcer: Any = registry.make("enforcers", by)
    context = context_of(inputs, test.wanted)
    held = enforcer.hold(estimate, Held.of((law,), estimate, context), context)
    before, after = (
        float(abs(law.residual(each, context, grid_of(each, context))["u"]).max()) for each in (estimate, held)
    )
    assert after < 1e-6 < before
    rise = held["u_variance"] - estimate["u_variance"]
    assert float(rise.max()) <= 1e-9
    assert bool((rise == 0).all()) == (by == "additive")


def test_an_equation_in_the_loss_is_followed(tmp_path: Path) -> None:
    """Its residual is smaller than without; on the grid, by differences."""
    data = Stefan(**{**ASKED, "times": (0.049, 0.05, 0.051), "sizes": (100, 8, 6)}).open().compute()
    test, law = Samples.of(data, "test"), NonlinearDiffusion(variable="u", threshold="parameter")
    enforcer: Any = Registry.installed().make("enforcers", {"penalty": {"weight": 10.0}})
    left = []
    for holds in ((), (Hold((law,), enforcer),)):
        learner = AttentiveNeuralProcess(**SMALL, spans={"time": 0.1})
        options = {"epochs": 2, "batch": 4, "learning_rate": 3e-3}
        solver = learn(learner, data, tmp_path / str(len(holds)), holds=holds, **options)
        inputs = test.inputs(slice(None))
        residual = law.residual(
            solver.solve(inputs, test.wanted),
            context_of(inputs, test.wanted),
            grid_of(solver.solve(inputs, test.wanted), context_of(inputs, test.wanted)),
        )
        left.append(float((residual["u"] ** 2).mean()))
    assert left[1] < 0.7 * left[0]


def test_a_law_over_whole_fields_is_refused_in_the_loss(tmp_path: Path) -> None:
    registry = Registry.installed()
    law: Any = registry.make("laws", {"integral": {"variable": "u", "dims": ["x"], "target": "mass"}})
    assert isinstance(law, Law)
    enforcer: Any = registry.make("enforcers", "penalty")
    with pytest.raises(HandshakeError, match="integral goes over"):
        learn(
            AttentiveNeuralProcess(**SMALL),
            medium(sizes=(8, 0, 2)),
            tmp_path,
            epochs=1,
            batch=4,
            holds=(Hold((law,), enforcer),),
        )


def test_what_has_no_context_is_refused() -> None:
    bare = Signature((Field("u", ("sample", "x"), "float64"),), {"sample": 3, "x": 4})
    with pytest.raises(HandshakeError, match="a context of points is what"):
        AttentiveNeuralProcess().check(bare)
    samples = Samples.of(medium(sizes=(1, 0, 1)), "train")
    with pytest.raises(OptionError, match="3 heads do not divide"):
        AttentiveNeuralProcess(heads=3).check(samples.given)
    renamed = Signature((Field("w", ("sample", "time", "x"), "float64"),), samples.wanted.sizes)
    with pytest.raises(HandshakeError, match="the context lacks context_w"):
        AttentiveNeuralProcess().build(samples.given, renamed)


TINY: dict[str, Any] = {"width": 8, "latent": 4, "heads": 2, "draws": 2}
OPTIONS: dict[str, Any] = {"epochs": 2, "batch": 6, "learning_rate": 1e-3}


def test_an_interrupted_training_ends_bit_equal(tmp_path: Path) -> None:
    """Targets, latents and dropout are drawn: the generator goes on where it was."""
    data, learner = medium(sizes=(12, 0, 6)), AttentiveNeuralProcess(**TINY, targets=20)
    whole = learn(learner, data, tmp_path / "whole", **OPTIONS)
    cut = learn_in_two(learner, data, tmp_path / "cut", at=4, **OPTIONS)
    for name, weights in whole.state.items():
        np.testing.assert_array_equal(cut.state[name], weights)


def test_micro_batches_learn_the_same_where_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All points are targets, and latents are their means."""
    monkeypatch.setattr(torch.distributions.Normal, "rsample", lambda self, *_: self.loc)
    data, learner = medium(sizes=(12, 0, 6)), AttentiveNeuralProcess(**TINY, targets=3 * 41, dropout=0)
    whole, cut = (learn(learner, data, tmp_path / str(each), **{**OPTIONS, "accumulate": each}) for each in (1, 2))
    for name, weights in whole.state.items():
        np.testing.assert_allclose(cut.state[name], weights, atol=1e-5)
