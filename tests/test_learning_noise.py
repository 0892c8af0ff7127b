"""Noise as an input: what a network is given belongs to a sample and an epoch, or to a sample and a member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import Field
from thalweg import (
    HandshakeError,
    Held,
    Hold,
    Law,
    OperatorEnforcer,
    OptionError,
    Registry,
    Samples,
    Signature,
    hookimpl,
)
from thalweg.learning import Layout, Noise, TorchLearner
from thalweg.losses.fair_crps import FairCRPS
from thalweg.testing import series, windowed
from thalweg.testing.toy_learner import learn, learn_in_two
from torch import Tensor, nn

DATA = windowed(series()).load()
TEST = Samples.of(DATA, "test")
Seen = dict[tuple[float, ...], list[tuple[float, ...]]]


class Members(nn.Module):
    """The last input, times a weight, plus noise of each cell, at each lead."""

    def __init__(self, leads: int) -> None:
        super().__init__()
        self.leads = leads
        self.weights = nn.Parameter(torch.tensor([0.5, 0.1]))

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        last = inputs[:, -1:].expand(-1, self.leads, -1, -1, -1)
        members: Tensor = self.weights[0] * last.unsqueeze(1) + self.weights[1] * noise["cells"].unsqueeze(2)
        return members


class Ensemble(TorchLearner):
    """Members from noise."""

    defaults: ClassVar[dict[str, Any]] = {"epochs": 2, "batch": 6, "loss": FairCRPS(), "learning_rate": 1e-2}
    count: int = Field(3, description="number of members")

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.with_members(self.count)

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        return {"cells": Noise(Layout.of(wanted).shape[1:], members=True)}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return Members(Layout.of(wanted).sizes[0])


class Scaled(nn.Module):
    """The last input at each lead, times a weight, plus noise."""

    def __init__(self, leads: int) -> None:
        super().__init__()
        self.leads, self.weights = leads, nn.Parameter(torch.tensor([0.5, 0.1]))

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        made: Tensor = self.weights[0] * inputs[:, -1:] + self.weights[1] * noise["cells"].unsqueeze(1)
        return made.expand(-1, self.leads, -1, -1, -1)


class Mean(Law):
    """The mean of each map is zero."""

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return fields.mean(["y", "x"])


class Centred(nn.Module):
    """A network without the mean of each map."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        made: Tensor = self.network(inputs, known)
        return made - made.mean((2, 3), keepdim=True)


class Centre(OperatorEnforcer):
    """Subtracts the mean of each map."""

    example: ClassVar[Mapping[str, Any]] = {}

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return {"seen": np.ones((context.sizes["sample"], 1))}

    def wrap(self, network: Any, held: Held, prefix: str) -> Any:
        return Centred(network)


class Watched(TorchLearner):
    """Remembers what each sample was given while it learned."""

    defaults: ClassVar[dict[str, Any]] = {"epochs": 2, "batch": 6}
    seen: ClassVar[Seen] = {}

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        cells = Layout.of(wanted).shape[1:]
        return {"cells": Noise(cells), "level": Noise(kind="uniform", only="learning")}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return Scaled(Layout.of(wanted).sizes[0])

    def objective(
        self,
        network: Any,
        inputs: Tensor,
        truth: Tensor,
        *,
        step: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        noise: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        if network.training:
            for row, cells, level in zip(inputs, noise["cells"], noise["level"], strict=True):
                key = tuple(row.flatten()[:4].tolist())
                self.seen.setdefault(key, []).append((float(level), *cells.flatten().tolist()))
        made = network(inputs, noise)
        return made, loss(made, truth) + 0 * noise["level"].mean()


def seen(folder: Path, **options: Any) -> Seen:
    Watched.seen.clear()
    learn(Watched(), DATA, folder, **options)
    return dict(Watched.seen)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return seen(tmp_path_factory.mktemp("whole"))


def test_a_sample_is_given_noise_of_its_own_in_each_epoch(whole: Seen, tmp_path: Path) -> None:
    assert all(len(set(rows)) == 2 for rows in whole.values())
    assert len({row for rows in whole.values() for row in rows}) == 2 * len(whole)
    assert seen(tmp_path, seed=1) != whole


@pytest.mark.parametrize("options", [{"batch": 4, "shuffle": "windows"}, {"accumulate": 3, "shuffle": "none"}])
def test_a_sample_is_given_the_same_noise_however_batches_are_cut(
    options: dict[str, Any], whole: Seen, tmp_path: Path
) -> None:
    assert seen(tmp_path, **options) == whole


@pytest.mark.parametrize("at", [3, 7])
def test_an_interrupted_training_goes_on_with_the_same_noise(at: int, tmp_path: Path) -> None:
    whole = learn(Ensemble(), DATA, tmp_path / "whole")
    again = learn_in_two(Ensemble(), DATA, tmp_path / "cut", at=at)
    for name, weights in whole.state.items():
        np.testing.assert_array_equal(again.state[name], weights)


def test_compiled_it_takes_the_same_noise_in_one_graph(
    whole: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiler(module, backend="eager", fullgraph=True))
    assert seen(tmp_path, compile=True) == whole


def other(solver: Any, **changes: Any) -> Any:
    """A solver of the same weights."""
    return replace(solver.network, built={}, **changes).solver()


def test_a_member_of_a_sample_is_the_same_alone(tmp_path: Path) -> None:
    solver: Any = learn(Ensemble(), DATA, tmp_path, batch=2)
    assert solver.seed == 0
    inputs = TEST.inputs(slice(0, 5))
    whole = solver.solve(inputs, TEST.first(5).wanted)["field"]
    assert whole.dims == ("sample", "member", "lead", "y", "x")
    assert float(whole.std("member").min()) > 0
    alone = solver.solve(inputs.isel(sample=[3]), TEST.first(1).wanted)["field"]
    xr.testing.assert_identical(alone, whole.isel(sample=[3]))
    assert not other(solver, seed=1).solve(inputs, TEST.first(5).wanted)["field"].equals(whole)
    gives = solver.network.wanted.with_members(5)
    more = other(solver, learner=Ensemble(count=5), gives=gives).solve(inputs, TEST.first(5).wanted)["field"]
    xr.testing.assert_identical(more.isel(member=slice(3)), whole)


def test_a_network_under_laws_takes_its_noise(tmp_path: Path) -> None:
    holds = (Hold((Mean(),), Centre()),)
    solver: Any = learn(Watched(), DATA, tmp_path, holds=holds)
    inputs = TEST.inputs(slice(0, 4))
    held = solver.solve(inputs, TEST.first(4).wanted)["field"]
    assert float(abs(held.mean(["y", "x"])).max()) < 1e-6
    again = other(solver, seed=1).solve(inputs, TEST.first(4).wanted)["field"]
    assert float(abs(again - held).max()) > 1e-4


def test_a_law_in_a_network_of_members_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HandshakeError, match="Centre holds the fields of the truth in a network, and that of Ensemble"):
        learn(Ensemble(), DATA, tmp_path, holds=(Hold((Mean(),), Centre()),))


def test_the_plan_runs_the_network_with_noise() -> None:
    samples = Samples.of(DATA, "train")
    Ensemble().demand(samples.given, samples.wanted, {})
    with pytest.raises(HandshakeError) as caught:
        Apart().demand(samples.given, samples.wanted, {"loss": None})
    assert str(caught.value) == (
        f"the noise 'cells' of {Apart().name} is of members, and it gives {str(samples.wanted)!r}\n"
        "  allowed: noise of samples, where an estimate has no members\n"
        "  do: leave `members` out of the noise, or return `truth.with_members(count)` in `gives`"
    )
    assert Watched().own_objective == "the noise that it takes"


class Apart(Ensemble):
    """Members that it does not give."""

    defaults: ClassVar[dict[str, Any]] = {}

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth


def test_a_wrapper_refuses_a_network_that_takes_noise() -> None:
    class Plugin:
        @hookimpl
        def register_methods(self, register: Any) -> None:
            register("watched", Watched)

    registry = Registry.installed()
    registry.add("test", Plugin())
    with pytest.raises(OptionError, match="the noise that it takes would be lost"):
        registry.make("methods", {"moving": {"of": {"watched": {}}}})
