"""Reduced-rank regression as a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from thalweg import Learner, OptionError, Registry, Samples
from thalweg.learning import Layout, TorchLearner
from thalweg.testing import check_method, series, windowed
from thalweg.testing.toy_learner import learn
from thalweg_earth.methods._reduced_rank_network import ReducedRankNetwork

REGISTRY = Registry.installed()
DATA = windowed(series())
UNET = {"unet": {"widths": [4], "centre": 8}}


def make(**options: object) -> TorchLearner:
    made = REGISTRY.make("methods", {"reduced-rank": options})
    assert isinstance(made, TorchLearner)
    return made


@pytest.mark.parametrize("options", [{}, {"plus": UNET}])
def test_it_keeps_the_contract_of_a_method(options: dict[str, object]) -> None:
    check_method(make(**options))


def test_the_map_is_affine_and_of_its_rank_whatever_it_learned() -> None:
    network = ReducedRankNetwork(24, (5, 3, 4, 1), rank=2, dropout=0.5, noise=1.0).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    unit = network(torch.eye(24)).flatten(1) - network(torch.zeros(1, 24)).flatten(1)
    assert int(torch.linalg.matrix_rank(unit, rtol=1e-4)) == 2
    x = torch.randn(7, 24)
    whole = x @ unit + network(torch.zeros(1, 24)).flatten(1)
    torch.testing.assert_close(network(x).flatten(1), whole, rtol=1e-3, atol=1e-3)


def test_noise_and_dropout_are_there_while_it_learns_only() -> None:
    network = ReducedRankNetwork(24, (3, 1), rank=2, noise=1.0)
    torch.nn.init.normal_(network.out.weight)
    x = torch.randn(2, 24)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_a_network_beside_it_begins_with_nothing_and_learns() -> None:
    learner = make(plus=UNET)
    samples = Samples.of(DATA, "train")
    network = learner.build(samples.given, samples.wanted)
    inputs = torch.randn(2, *Layout.of(samples.given).shape)
    alone = network(inputs)
    network.gain.data.fill_(1.0)
    torch.testing.assert_close(network(inputs) - alone, network.plus(inputs), rtol=1e-4, atol=1e-4)
    network.gain.data.zero_()
    network(inputs).sub(1.0).square().mean().backward()
    assert network.gain.grad != 0


def test_it_learns_a_wave_that_travels(tmp_path: Path) -> None:
    solver = learn(make(noise=0.0, dropout=0.0), DATA, tmp_path, epochs=36, batch=4, learning_rate=1e-2, ema=0.9)
    test = Samples.of(DATA, "test")
    estimate = solver.solve(test.inputs(slice(None)), test.wanted).field.values
    truth = test.truth(slice(None)).field.values
    assert np.mean((estimate - truth) ** 2) < 0.35 * truth.var()


def test_a_beside_that_is_no_network_is_refused() -> None:
    with pytest.raises(OptionError, match="damped-persistence is no network"):
        make(plus="damped-persistence")
    assert isinstance(make(), Learner)
