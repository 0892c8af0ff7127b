"""A network that is built on one of an earlier phase: frozen, kept beside its weights and not among them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from coding import Autoencoder, Coder
from pydantic import Field
from thalweg import HandshakeError, OptionError, Phase, Registry, Signature, hookimpl
from thalweg.errors import CorruptError
from thalweg.learning import Layout, Network, TorchLearner, frozen
from thalweg.pipeline import execute
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans_of
from thalweg.recipes.recipe import Recipe
from thalweg.samples import Samples
from thalweg.testing import series, windowed
from thalweg.testing.pieces import gradient_is_the_mean_of_its_pieces
from thalweg.testing.toy_learner import ToyLearner, learn
from torch import Tensor, nn

DATA = windowed(series()).load()


class Repeats(Coder):
    """As a network the last input, through its codes, at each lead."""

    def __init__(self, space: tuple[int, int], leads: int, width: int) -> None:
        super().__init__(space, width)
        self.leads = leads

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(inputs[:, -1:])).expand(-1, self.leads, -1, -1, -1)


class Codes(Autoencoder):
    """A linear autoencoder of frames."""

    called: ClassVar[list[str]] = []

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        leads, *space = Layout.of(wanted).sizes
        return Repeats((space[0], space[1]), leads, self.width)

    def objective(self, *asked: Any, step: int, **beside: Any) -> Any:
        if step == 0:
            self.called.append("codes")
        return super().objective(*asked, step=step, **beside)


class Latent(nn.Module):
    """A linear step in the space of codes."""

    def __init__(self, codes: nn.Module, width: int, leads: int) -> None:
        super().__init__()
        self.codes, self.leads = codes, leads
        self.step = nn.Linear(width, leads * width)

    def forward(self, inputs: Tensor) -> Tensor:
        coder: Any = self.codes.module
        made: Tensor = coder.decode(self.step(coder.encode(inputs[:, -1])).unflatten(-1, (self.leads, -1)))
        return made


class Predicts(TorchLearner):
    """In the space of codes."""

    width: int = Field(5, description="number of codes")
    strength: float = Field(0.0, description="changes nothing")
    called: ClassVar[list[str]] = []

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        return (Phase("codes", Codes(width=self.width), {**options, "seed": 7}),)

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        self.called.append("predicts")
        return Latent(frozen(self.parts["codes"]), self.width, Layout.of(wanted).sizes[0])


class Above(TorchLearner):
    """Needs the codes and what predicts in them."""

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        codes = {**options, "seed": 7}
        return Phase("codes", Codes(), codes), Phase("first", Predicts(), options), Phase("second", Predicts(), options)

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return Sum([frozen(self.parts[name]) for name in ("first", "second")])


class Sum(nn.Module):
    """The weighted sum of networks."""

    def __init__(self, of: list[Any]) -> None:
        super().__init__()
        self.of, self.weights = nn.ModuleList(of), nn.Parameter(torch.ones(len(of)))

    def forward(self, inputs: Tensor) -> Tensor:
        made: Tensor = torch.stack([each(inputs) for each in self.of], -1) @ self.weights
        return made


class Unknown(Predicts):
    """Its phase is of a learner that nothing registers."""

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        return (Phase("codes", ToyLearner(), options),)


class Plugin:
    @hookimpl
    def register_methods(self, register: Any) -> None:
        for part in (Codes, Predicts, Above, Unknown):
            register(part.__name__.lower(), part)


@pytest.fixture
def registry() -> Registry:
    made = Registry.installed()
    made.add("test", Plugin())
    Codes.called.clear()
    return made


OPTIONS: dict[str, Any] = {"epochs": 2, "batch": 8, "ema": 0.9, "learning_rate": 1e-2}


def solved(solver: Any) -> xr.Dataset:
    test = Samples.of(DATA, "test")
    made: xr.Dataset = solver.solve(test.inputs(slice(0, 3)), test.first(3).wanted)
    return made


def test_a_part_is_frozen_and_not_among_the_weights(registry: Registry, tmp_path: Path) -> None:
    solver: Any = learn(Predicts(), DATA, tmp_path, registry=registry, **OPTIONS)
    assert set(solver.state) == {"step.weight", "step.bias"}
    codes: Any = learn(Codes(), DATA, tmp_path / "alone", registry=registry, **{**OPTIONS, "seed": 7})
    for name, weights in codes.state.items():
        np.testing.assert_array_equal(solver.parts["codes"].state[name], weights)
    module = frozen(codes.network)
    assert not list(module.parameters())
    assert not module.train().module.training
    assert module.to(torch.float64).module.into.weight.dtype == torch.float64  # type: ignore[union-attr]
    again = pickle.loads(pickle.dumps(solver))
    xr.testing.assert_identical(solved(again), solved(solver))


def test_a_folder_stands_alone_and_keeps_each_part_once(registry: Registry, tmp_path: Path) -> None:
    solver: Any = learn(Above(), DATA, tmp_path / "work", registry=registry, **OPTIONS)
    solver.network.write(str(tmp_path / "kept"), registry)
    # The codes, and what predicts in them: each of them is a part twice.
    assert len(list((tmp_path / "kept" / "parts").iterdir())) == 2
    again = Network.read(str(tmp_path / "kept"), registry)
    assert again.parts["first"] is again.parts["second"]
    assert again.parts["first"].parts["codes"] is again.parts["codes"]
    xr.testing.assert_identical(solved(again.solver()), solved(solver))


def test_a_folder_of_another_format_is_refused(registry: Registry, tmp_path: Path) -> None:
    learn(Codes(), DATA, tmp_path, **OPTIONS).network.write(str(tmp_path / "kept"), registry)  # type: ignore[attr-defined]
    (tmp_path / "kept" / "options.json").write_text("{}")
    with pytest.raises(CorruptError, match=r"has format 1\n.*format 2\n.*--from train"):
        Network.read(str(tmp_path / "kept"), registry)


def planned(folder: Path, registry: Registry, **method: Any) -> Plan:
    path = folder / "data.nc"
    if not path.exists():
        values = np.random.default_rng(0).normal(size=(40, 2, 3)).astype("float32")
        coords = {"time": np.arange(40), "y": np.arange(2.0), "x": np.arange(3.0)}
        xr.Dataset({"field": (("time", "y", "x"), values, {"units": "1"})}, coords).to_netcdf(path, engine="h5netcdf")
    tree = {
        "name": "parts",
        "ingest": {"array": {"path": str(path), "variables": ["field"]}},
        "preprocess": [{"windows": {"inputs": 2, "targets": 2}}, {"split": {"train": [0, 25], "test": [26, 39]}}],
        "train": {"method": method, "epochs": 1, "batch": 8},
        "evaluate": ["rmse"],
    }
    (plan,) = plans_of(Recipe.parse(tree), registry, store=str(folder / "store"))
    return plan


def test_a_phase_that_changes_makes_later_ones_again(registry: Registry, tmp_path: Path) -> None:
    first = planned(tmp_path, registry, predicts={})
    assert "after codes (0 of 1 cached)" in first.text()
    done = execute(first, registry=registry)
    assert Codes.called == ["codes"]
    # The phase is the method of that name, trained by itself.
    assert planned(tmp_path, registry, predicts={}).phases["codes"].method.name == "codes"
    again = planned(tmp_path, registry, predicts={"strength": 1.0})
    assert "(1 of 1 cached)" in again.text()
    assert not again.steps["train"].cached
    wider = planned(tmp_path, registry, predicts={"width": 6})
    assert "(0 of 1 cached)" in wider.text()
    url = done.stages["train"].store
    assert Network.read(url, registry).parts["codes"].learner.width == 5  # type: ignore[attr-defined]


def test_the_code_of_a_phase_is_in_the_digest(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = planned(tmp_path, registry, predicts={}).solver_digest(held=False)
    monkeypatch.setattr(Codes, "revision", 2)
    assert planned(tmp_path, registry, predicts={}).solver_digest(held=False) != before


def test_the_plan_knows_the_parts(registry: Registry, tmp_path: Path) -> None:
    samples = Samples.of(DATA, "train")
    few, many = (Predicts(width=each).demand(samples.given, samples.wanted, OPTIONS).memory for each in (5, 500))
    assert many - few > 2 * 495 * 48 * 4
    with pytest.raises(OptionError, match=r"the phase 'codes' is learned by ToyLearner, which no plugin registers"):
        planned(tmp_path, registry, unknown={})


class NoNetwork(Predicts):
    """With a phase that gives no network."""

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        part: Any = Registry.installed().make("methods", "damped-persistence")
        return (Phase("codes", part, {}),)


def test_the_kit_cuts_the_batch_of_a_network_on_parts() -> None:
    gradient_is_the_mean_of_its_pieces(SimpleNamespace(method=Above(), data=DATA))


def test_a_phase_without_a_network_is_refused() -> None:
    samples = Samples.of(DATA, "train")
    with pytest.raises(HandshakeError, match="which has no network"):
        NoNetwork().demand(samples.given, samples.wanted, OPTIONS)


def test_an_interrupted_training_goes_on_with_the_same_parts(registry: Registry, tmp_path: Path) -> None:
    whole: Any = learn(Predicts(), DATA, tmp_path / "whole", registry=registry, **OPTIONS)
    Codes.called.clear()

    def stop(numbers: Mapping[str, float], epoch: int) -> None:
        if "loss/train" in numbers and epoch == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(Predicts(), DATA, tmp_path / "cut", registry=registry, report=stop, **OPTIONS)
    again: Any = learn(Predicts(), DATA, tmp_path / "cut", registry=registry, **OPTIONS)
    assert Codes.called == ["codes"]
    for name, weights in whole.state.items():
        np.testing.assert_array_equal(again.state[name], weights)
