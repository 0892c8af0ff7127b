"""Losses: each is least where it says, and cells whose truth is missing have no part in it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mutants.pieces import Contrasts
from thalweg import HandshakeError, Loss, OptionError, Registry, Samples, Signature
from thalweg.errors import RecipeError
from thalweg.recipes.planning import plans
from thalweg.testing import check_loss, series, windowed
from thalweg.testing.toy_learner import ToyLearner, learn

REGISTRY = Registry.installed()
ALL = sorted(REGISTRY.parts("losses"))


def made(loss: Any) -> Loss:
    found = REGISTRY.make("losses", loss)
    assert isinstance(found, Loss)
    return found


def test_the_shipped_set() -> None:
    own = [name for name in ALL if REGISTRY.plugin_of("losses", name) == "losses"]
    assert own == ["absolute", "expectile", "fair-crps", "info-nce", "mean-squared", "quantile", "spectral"]


@pytest.mark.parametrize("name", ALL)
def test_conformance(name: str) -> None:
    check_loss(made(name))


@pytest.mark.parametrize(
    ("name", "level"), [("quantile", 0.5), ("quantile", 0.8), ("expectile", 0.5), ("expectile", 0.7)]
)
def test_a_level_is_a_quantile_or_an_expectile(name: str, level: float) -> None:
    truth = torch.from_numpy(np.random.default_rng(0).exponential(size=4001))[None]
    found = torch.linspace(0, 4, 2001, dtype=torch.float64)
    loss = made({name: {"level": level}})
    values = [float(loss.value(each.expand_as(truth), truth)) for each in found]
    best = found[int(np.argmin(values))]
    above, below = (truth - best).clamp(min=0), (best - truth).clamp(min=0)
    power = 0 if name == "quantile" else 1
    up, down = (float((each**power * (each > 0)).sum()) for each in (above, below))
    assert level * up / (level * up + (1 - level) * down) == pytest.approx(0.5, abs=0.01)
    if level == 0.5:
        other = made("absolute" if name == "quantile" else "mean-squared")
        estimate = truth.roll(1)
        torch.testing.assert_close(loss.value(estimate, truth), other.value(estimate, truth))


def test_fair_crps_is_the_sum_over_all_pairs() -> None:
    draw = torch.Generator().manual_seed(0)
    truth = torch.rand(3, 2, 4, generator=draw, dtype=torch.float64)
    members = torch.rand(3, 5, 2, 4, generator=draw, dtype=torch.float64)
    pairs = sum((members[:, i] - members[:, j]).abs() for i, j in product(range(5), repeat=2))
    expected = (members - truth[:, None]).abs().mean(1) - pairs / (2 * 5 * 4)
    torch.testing.assert_close(made("fair-crps").value(members, truth), expected.mean((1, 2)))


def test_fair_crps_does_not_depend_on_the_number_of_members() -> None:
    """Its mean over draws is the CRPS of their distribution, also with two members: of N(0, 1) at 0, .2337."""
    draw = torch.Generator().manual_seed(0)
    for count in (2, 3, 10):
        members = torch.randn(40_000, count, 1, generator=draw, dtype=torch.float64)
        found = made("fair-crps").value(members, torch.zeros(40_000, 1, dtype=torch.float64)).mean()
        assert float(found) == pytest.approx(0.2337, abs=0.01)


@pytest.mark.parametrize(
    "loss", ["mean-squared", "absolute", {"quantile": {"level": 0.6}}, {"expectile": {"level": 0.7}}]
)
def test_a_sample_with_gaps_weighs_as_much_as_one_without(loss: Any) -> None:
    """Half of its cells are missing; the gradient by an error that is the same at each cell is the same."""
    truth = torch.zeros(2, 3, 4)
    truth[1, :, 2:] = torch.nan
    shift = torch.tensor([0.5, 0.5], requires_grad=True)
    made(loss).value(truth.nan_to_num() + shift[:, None, None], truth).mean().backward()
    assert shift.grad is not None
    assert float(shift.grad[0]) == pytest.approx(float(shift.grad[1])) != 0


def test_a_blurred_field_loses_more_amplitude_than_a_displaced_one() -> None:
    field = torch.rand(1, 1, 16, 16, 1, generator=torch.Generator().manual_seed(0))
    displaced = field.roll(3, 2)
    blurred = (field + field.roll(1, 2) + field.roll(1, 3) + field.roll((1, 1), (2, 3))) / 4
    by_weight = [made({"spectral": {"weight": each}}) for each in (0.0, 1.0)]
    of_amplitude = [float(by_weight[1].value(e, field) - by_weight[0].value(e, field)) for e in (displaced, blurred)]
    assert of_amplitude[0] < 1e-6 < 1e-3 < of_amplitude[1]


# ---- in a training


def demand(learner: Any, loss: Any, **options: Any) -> None:
    samples = Samples.of(windowed(series()), "train")
    learner.demand(samples.given, samples.wanted, {"batch": 8, "loss": made(loss), **options})


def test_a_loss_over_the_batch_is_not_cut() -> None:
    demand(ToyLearner(), "info-nce", ranks=2)
    with pytest.raises(OptionError) as caught:
        demand(ToyLearner(), "info-nce", accumulate=2)
    assert caught.value.where == "train.accumulate"
    assert "cuts a batch whose samples the loss of ToyLearner compares" in str(caught.value)


def test_a_loss_of_members_needs_members() -> None:
    class Members(ToyLearner):
        """Says that it has members."""

        count: int = 4

        def gives(self, given: Signature, truth: Signature) -> Signature:
            return truth.with_members(self.count)

    with pytest.raises(HandshakeError, match="fair-crps is a loss of members, and an estimate holds"):
        demand(ToyLearner(), "fair-crps")
    with pytest.raises(HandshakeError, match="mean-squared is a loss of fields, and an estimate holds"):
        demand(Members(), "mean-squared")
    made("fair-crps").fits(*(Members().gives(each, each) for each in [Samples.of(windowed(series())).wanted] * 2))
    with pytest.raises(HandshakeError, match="compares members, and there is 1"):
        demand(Members(count=1), "fair-crps")


def test_a_learner_with_a_loss_of_its_own_takes_no_other() -> None:
    with pytest.raises(OptionError, match="minimises a loss of its own, and would not read `loss: absolute`"):
        demand(Contrasts(), "absolute")
    with pytest.raises(OptionError, match="minimises a loss of its own"):
        demand(REGISTRY.make("methods", "attentive-neural-process"), "absolute")


def test_the_loss_of_a_method_is_a_default_that_a_recipe_replaces() -> None:
    learner: Any = REGISTRY.make("methods", "fno")
    assert type(learner.check_options({}).loss) is REGISTRY.get("losses", "relative")
    assert learner.check_options({"loss": made("absolute")}).loss == made("absolute")


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("absolut", "train.loss: no loss is called 'absolut'"),
        ({"quantile": {"level": 2}}, "train.loss.quantile.level: 2 is too large"),
        ("fair-crps", "train.loss: fair-crps is a loss of members"),
    ],
)
def test_a_plan_refuses_a_loss_with_its_place(recipe: Any, tmp_path: Path, loss: Any, said: str) -> None:
    file = recipe(train={"method": {"unet": {"widths": [4], "centre": 8}}, "loss": loss})
    with pytest.raises((RecipeError, OptionError, HandshakeError), match=said):
        plans(file, registry=REGISTRY, store=str(tmp_path / "store"))


def test_what_is_learned_does_not_depend_on_what_stands_where_the_truth_is_missing(tmp_path: Path) -> None:
    data = windowed(series()).load()
    gap = data.assign(field=data["field"].where((data["x"] < 5e3) | (data["y"] < 2e3)))
    solver = learn(ToyLearner(scale="none"), gap, tmp_path, loss=made("absolute"), epochs=1)
    assert all(np.isfinite(each).all() for each in solver.state.values())
