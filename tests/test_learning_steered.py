"""A network that draws its estimate step by step, with laws on the way; and statistics that it keeps of its samples."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import Field
from thalweg import HandshakeError, Held, Hold, Noise, Registry, Samples, Signature
from thalweg.components.context import context_of
from thalweg.components.steering import Steering
from thalweg.laws import AreaMean
from thalweg.learning import Layout, SteeredSolver, TorchLearner
from thalweg.learning import Noise as Asked
from thalweg.testing import check_method, series, windowed
from thalweg.testing.toy_learner import learn
from torch import Tensor, nn

DATA = windowed(series()).load()
TEST, TRAIN = Samples.of(DATA, "test"), Samples.of(DATA, "train")
LEVELS = (0.0, 0.4, 0.8, 1.0)


class Drawing(nn.Module):
    """Draws each cell around its mean of the training samples, less and less noisy."""

    def __init__(self, shape: tuple[int, ...], members: int) -> None:
        super().__init__()
        self.shape, self.members = shape, members
        self.gain = nn.Parameter(torch.tensor(0.1))
        self.register_buffer("mean", torch.zeros(shape))

    def denoised(self, state: Tensor) -> Tensor:
        return self.mean + self.gain * state

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor], guide: Any = None) -> Tensor:
        if "start" not in noise:
            return self.denoised(torch.zeros_like(self.mean).expand(len(inputs), *self.shape))
        state = noise["start"].flatten(0, 1)
        for number, (t, then) in enumerate(itertools.pairwise(LEVELS)):
            if guide is None:
                found = self.denoised(state)
            else:
                level = Noise(t, 1 - t, gain=then - (1 - then) * t / (1 - t), last=then == 1.0)
                found = guide(self.denoised, state, noise=level, step=number, output=self.output)
            state = then * found + (1 - then) / (1 - t) * (state - t * found)
        return self.output(state)

    def output(self, states: Tensor) -> Tensor:
        return states.unflatten(0, (-1, self.members))


class Draws(TorchLearner):
    """Draws around the mean of the training samples."""

    steered: ClassVar[bool] = True
    own_loss: ClassVar[bool] = True
    members: int = Field(3, description="draws of each sample")

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.with_members(self.members)

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Asked]:
        return {"start": Asked(Layout.of(wanted).shape, members=True, only="solving")}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return Drawing(Layout.of(wanted).shape, self.members)

    def prepare(self, network: nn.Module, examples: Iterable[tuple[Any, Tensor]], scales: Any) -> None:
        assert isinstance(network, Drawing)
        network.mean.copy_(torch.cat([truth for _, truth in examples]).mean(0))

    def objective(
        self,
        network: Any,
        inputs: Any,
        truth: Tensor,
        *,
        step: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        noise: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        made = network.denoised(truth)
        return made, (made - truth).square().mean()


@pytest.fixture(scope="module")
def solver(tmp_path_factory: pytest.TempPathFactory) -> SteeredSolver:
    learned = learn(Draws(), DATA, tmp_path_factory.mktemp("draws"), epochs=1, batch=8)
    assert isinstance(learned, SteeredSolver)
    return learned


def steering(law: Any, enforcer: Any, inputs: xr.Dataset) -> Steering:
    hold = Hold((law,), Registry.installed().make("enforcers", enforcer))  # type: ignore[arg-type]
    return Steering([hold], TEST.grid, lambda hold: context_of(inputs, TEST.wanted))  # noqa: ARG005


def test_it_keeps_the_contract() -> None:
    check_method(Draws())


def test_statistics_are_of_samples_that_do_not_overlap(solver: SteeredSolver) -> None:
    at = TRAIN.index.apart(TRAIN.numbers)
    assert 1 < len(at) < len(TRAIN)
    offset, by = solver.scales["field"]
    wanted = (TRAIN.truth(at.tolist()).field.values - offset) / by
    np.testing.assert_allclose(solver.state["mean"][..., 0], wanted.mean(0), rtol=1e-5, atol=1e-6)


def test_laws_hold_at_the_end_in_pieces_of_any_size(solver: SteeredSolver) -> None:
    inputs = TEST.inputs(slice(0, 5))
    wanted = TEST.first(5).wanted
    law = AreaMean(variable="field", weights="equal", target=0.3)
    held = [
        made.sample(inputs, wanted, steering(law, "conditioned-sampling", inputs))  # type: ignore[attr-defined]
        for made in (solver, replace(solver.network, batch=2, built={}).solver())
    ]
    assert held[0].field.dims == ("sample", "member", "lead", "y", "x")
    np.testing.assert_allclose(held[0].field.mean(("y", "x")), 0.3, rtol=1e-6)
    np.testing.assert_allclose(held[0].field, held[1].field, rtol=1e-5)
    assert float(abs(held[0].field - solver.solve(inputs, wanted).field).max()) > 1e-3


def test_a_law_inside_a_network_that_is_called_step_by_step_is_refused() -> None:
    enforcer = Registry.installed().make("enforcers", "last-layer")
    held = Held.of((AreaMean(variable="field", weights="equal"),), TRAIN.truth([0]), TRAIN.inputs([0]))
    with pytest.raises(HandshakeError, match="calls its own at every step"):
        Draws().check_wrap(enforcer, held, given=TRAIN.given, wanted=TRAIN.wanted, options={})  # type: ignore[arg-type]


class Measures(TorchLearner):
    """Keeps a statistic."""

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        raise NotImplementedError

    def prepare(self, network: nn.Module, examples: Iterable[tuple[Any, Tensor]], scales: Any) -> None: ...


def test_a_network_around_one_that_keeps_statistics_is_told_what_would_be_lost() -> None:
    assert Measures().own_objective == "what it keeps of the training samples"
