"""What a training is refused for before it begins: a batch that may not be cut, a network of another shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mutants.pieces import Contrasts, ContrastsOverBatches
from thalweg import HandshakeError, OptionError, Registry, Samples, Signature
from thalweg.components.calls import call
from thalweg.errors import PartError
from thalweg.learning.pieces import is_mean_over_samples
from thalweg.testing import series, windowed
from thalweg.testing.toy_learner import ToyLearner, learn
from torch import Tensor, nn

SAMPLES = Samples.of(windowed(series()), "train")


def demand(learner: Any, **options: Any) -> None:
    learner.demand(SAMPLES.given, SAMPLES.wanted, {"batch": 8, **options})


@pytest.mark.parametrize("option", ["accumulate", "ranks"])
def test_a_network_with_batch_norm_is_not_cut(option: str) -> None:
    registry = Registry.installed()
    small = {"widths": [4], "centre": 8}
    demand(registry.make("methods", {"unet": small}))
    demand(registry.make("methods", {"unet": {**small, "norm": "group"}}), **{option: 2})
    with pytest.raises(OptionError) as caught:
        demand(registry.make("methods", {"unet": small}), **{option: 2})
    assert str(caught.value) == (
        f"train.{option}: `{option}: 2` cuts the batch of which 'down.0.1' takes its statistics (7 such layers): "
        "another network would be learned\n"
        "  allowed: accumulate: 1 and ranks: 1 for a network with BatchNorm, or InstanceNorm with running statistics\n"
        "  do: use a norm of single samples (GroupNorm; `norm: group` where a method has this option)"
    )


@pytest.mark.parametrize("option", ["accumulate", "ranks"])
def test_a_loss_that_compares_samples_is_not_cut_unless_it_is_gathered(option: str, tmp_path: Path) -> None:
    demand(ToyLearner(), **{option: 2})
    demand(Contrasts())
    if option == "accumulate":
        with pytest.raises(OptionError, match="cuts a batch whose samples"):
            learn(Contrasts(), windowed(series()), tmp_path, batch=8, accumulate=2)
    with pytest.raises(OptionError, match=rf"train.{option}: `{option}: 2` cuts a batch whose samples the loss of"):
        demand(Contrasts(), **{option: 2})
    if option == "ranks":
        demand(ContrastsOverBatches(), ranks=2)
    else:
        with pytest.raises(OptionError, match="cuts a batch whose samples"):
            demand(ContrastsOverBatches(), accumulate=2)


def test_a_mean_over_samples_is_told_from_other_losses() -> None:
    def squares(estimate: Tensor, truth: Tensor) -> Tensor:
        return (estimate - truth).square()

    shape = (4, 6, 8, 1)
    assert is_mean_over_samples(lambda *both: squares(*both).mean(), shape, truth=shape)
    assert is_mean_over_samples(lambda *both: squares(*both).flatten(1).mean(1), shape, truth=shape)
    assert not is_mean_over_samples(lambda *both: squares(*both).mean().sqrt(), shape, truth=shape)


class Flat(ToyLearner):
    """Forgets the channel."""

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return nn.Sequential(super().build(given, wanted), nn.Flatten(-2))


def test_a_network_of_another_shape_is_refused() -> None:
    with pytest.raises(HandshakeError) as caught:
        demand(Flat())
    assert str(caught.value) == (
        "the network of Flat makes (1, 4, 6, 8) of one sample\n"
        "  allowed: sample 1, lead 4, y 6, x 8, channel 1\n"
        "  do: make `build` return a network with this output, or say in `gives` what it makes"
    )


class Layered(ToyLearner):
    """A network of its own kinds."""

    kind: str = ""

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return Between(super().build(given, wanted), self.kind)

    def objective(self, network: Any, inputs: Any, truth: Tensor, **_: Any) -> Any:
        if self.kind != "objective":
            return None
        estimate = network(inputs)
        return estimate, (estimate - truth).square().flatten(1).mean(1).max()


class Between(nn.Module):
    """Something before a network."""

    def __init__(self, network: nn.Module, kind: str) -> None:
        super().__init__()
        self.network, self.kind = network, kind
        self.inner = nn.Sequential(nn.Linear(7, 7)) if kind.startswith("layers") else nn.Identity()
        if kind == "running":
            self.inner = nn.InstanceNorm2d(1, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        if "values" in self.kind:
            float(x.sum())
        if self.kind == "mean":
            x = x - x.mean(0, keepdim=True)
        inner = self.inner(x.flatten(1, 2).movedim(-1, 1)).reshape(x.shape) if self.kind == "running" else self.inner(x)
        made: Tensor = self.network(inner)
        return made[..., 0] if self.kind == "values, another shape" else made


@pytest.mark.parametrize(("kind", "says"), [
    ("running", "takes its statistics"), ("mean", "the network or the objective of Layered compares"),
    ("objective", "the network or the objective of Layered compares"),
])  # fmt: skip
def test_a_network_or_objective_that_compares_samples_is_not_cut(kind: str, says: str) -> None:
    demand(Layered(kind=kind))
    for option in ("accumulate", "ranks"):
        demand(Layered(), **{option: 2})
        with pytest.raises(OptionError, match=says) as caught:
            demand(Layered(kind=kind), **{option: 2})
        assert caught.value.where == f"train.{option}"


def test_a_small_network_without_shapes_is_tried_with_values() -> None:
    demand(Layered(kind="values"))
    with pytest.raises(HandshakeError, match=r"makes \(1, 4, 6, 8\) of one sample"):
        demand(Layered(kind="values, another shape"))


class Wrong(ToyLearner):
    """Layers that do not fit, without a line of its own around them."""

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return nn.Sequential(nn.Linear(7, 7), nn.ReLU())


def test_what_torch_raises_names_who_built_the_network() -> None:
    """Also where no line of the author's was running."""
    line = Wrong.build.__code__.co_firstlineno
    with pytest.raises(PartError) as caught:
        call(Wrong(), Wrong().demand, SAMPLES.given, SAMPLES.wanted, {})
    assert str(caught.value).startswith("the network that `build` of Wrong makes raised RuntimeError: mat1 and mat2")
    assert f"({__file__}:{line})" in str(caught.value)
