"""A learner with a critic: two optimizers, one network that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thalweg import OptionError, Samples, Signature
from thalweg.learning import Batch, BatchObjective, Objective, Turn
from thalweg.testing import series, windowed
from thalweg.testing.toy_learner import ToyLearner, learn
from torch import Tensor, nn

DATA = windowed(series()).load()
SAMPLES = Samples.of(DATA, "train")


class Made(Objective):
    """Near the truth, and taken for it."""

    def __init__(self, usual: Any, modules: nn.ModuleDict) -> None:
        super().__init__()
        self.usual, self.network, self.critic = usual, modules["network"], modules["critic"]

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        inputs, truth = self.usual.scaled(batch)
        made = self.network(inputs)
        square = (made - truth).square().mean()
        return {"loss": square - 0.01 * self.critic(made.flatten(1)).mean(), "square": square}


class Told(Objective):
    """The truth from what is made."""

    def __init__(self, usual: Any, modules: nn.ModuleDict) -> None:
        super().__init__()
        self.usual, self.network, self.critic = usual, modules["network"], modules["critic"]

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        inputs, truth = self.usual.scaled(batch)
        made = self.network(inputs).detach()
        one, other = (self.critic(each.flatten(1)) for each in (truth, made))
        return {"loss": (1 - one).relu().mean() + (1 + other).relu().mean()}


class Adversarial(ToyLearner):
    """A toy with a critic."""

    norm: bool = False

    def helpers(self, given: Signature, wanted: Signature) -> Mapping[str, nn.Module]:
        layers = [nn.Linear(4 * 6 * 8, 5), *([nn.BatchNorm1d(5)] if self.norm else []), nn.ReLU(), nn.Linear(5, 1)]
        return {"critic": nn.Sequential(*layers)}

    def turns(self, modules: nn.ModuleDict, usual: Turn) -> Sequence[Turn]:
        made = replace(usual, objective=Made(usual.objective, modules))
        told = replace(usual, name="critic", objective=Told(usual.objective, modules), learns=("critic",), every=2)
        return made, told


def test_a_critic_is_learned_and_not_kept(tmp_path: Path) -> None:
    curves: list[Mapping[str, float]] = []
    options: dict[str, Any] = {"epochs": 3, "batch": 6, "ema": 0.9, "patience": 3}
    solver = learn(Adversarial(), DATA, tmp_path / "a", report=lambda n, _: curves.append(n), **options)
    plain = learn(ToyLearner(), DATA, tmp_path / "b", **options)
    assert solver.state.keys() == plain.state.keys()
    assert any(not np.array_equal(solver.state[name], plain.state[name]) for name in plain.state)
    named = {
        f"{name}/{side}" for name in ("network/loss", "network/square", "critic/loss") for side in ("train", "validate")
    }
    assert {name for name in curves[-1] if not name.startswith("loader")} == named | {
        "network/learning_rate",
        "critic/learning_rate",
    }


def test_micro_batches_learn_the_same(tmp_path: Path) -> None:
    whole, cut = (
        learn(Adversarial(), DATA, tmp_path / str(each), epochs=1, batch=6, accumulate=each) for each in (1, 2)
    )
    for name, expected in whole.state.items():
        np.testing.assert_allclose(cut.state[name], expected, atol=1e-5)


class Compared(BatchObjective):
    """Each estimate told from the others of its batch."""

    def __init__(self, usual: Any) -> None:
        super().__init__()
        self.usual, self.network = usual, usual.network

    def outputs(self, batch: Batch) -> Mapping[str, Tensor]:
        inputs, _ = self.usual.scaled(batch)
        return {"made": self.network(inputs).flatten(1)}

    def loss(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        made = outputs["made"]
        return {"loss": (made @ made.T).square().mean()}


class Contrastive(ToyLearner):
    """With a turn of its own that compares samples, though its learner says nothing of it."""

    def turns(self, modules: nn.ModuleDict, usual: Turn) -> Sequence[Turn]:
        assert usual.objective.over == "sample"
        return (replace(usual, name="contrast", objective=Compared(usual.objective)),)


class Curious(ToyLearner):
    """Its turns look at values, which a plan does not have."""

    def turns(self, modules: nn.ModuleDict, usual: Turn) -> Sequence[Turn]:
        return (replace(usual, clip=float(next(modules.parameters()).detach().abs().max()) + 1.0),)


def demand(learner: Any, **options: Any) -> int:
    memory: int = learner.demand(SAMPLES.given, SAMPLES.wanted, {"batch": 6, **options}).memory
    return memory


def test_turns_that_may_not_be_cut_are_refused_by_the_plan_and_by_the_training(tmp_path: Path) -> None:
    for learner, says in (
        (
            Adversarial(norm=True),
            r"accumulate: `accumulate: 2` cuts the batch of which 'critic\.1' takes its statistics",
        ),
        (Contrastive(), r"accumulate: `accumulate: 2` cuts a batch whose samples the objective of 'contrast' compares"),
    ):
        demand(learner)
        with pytest.raises(OptionError, match=f"^train.{says}"):
            demand(learner, accumulate=2)
        with pytest.raises(OptionError, match=says):
            learn(learner, DATA, tmp_path, epochs=1, batch=6, accumulate=2)
    demand(Contrastive(), ranks=2)
    demand(Curious(), accumulate=2)


def test_the_plan_counts_what_is_learned_beside_the_network() -> None:
    weights = 4 * (4 * 6 * 8 * 5 + 5 + 5 + 1)
    assert demand(Adversarial()) - demand(ToyLearner()) == 5 * weights
