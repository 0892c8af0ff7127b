"""Phases: trainings that another one needs, each resumed, committed and used again by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from thalweg import Demand, Fitted, Learner, OptionError, Phase, Registry, Signature, Training, hookimpl, scalars
from thalweg import Samples as Split
from thalweg.pipeline import execute
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans_of
from thalweg.recipes.recipe import Recipe


class Constant(Fitted):
    """A number everywhere."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        lead = np.arange(wanted.sizes["lead"]) + 1
        made = inputs.isel(lead=-1, drop=True).expand_dims(lead=lead).transpose("sample", "lead", ...)
        return (made * 0 + float(self.state["number"])).astype("float32")


class Codes(Learner):
    """The first phase: a mean, of the options that it reads."""

    fitted: ClassVar[type[Fitted]] = Constant
    trains_on: ClassVar[frozenset[str]] = frozenset({"epochs"})
    called: ClassVar[list[str]] = []
    failing: ClassVar[set[str]] = set()

    def fit(self, training: Training) -> Fitted:
        self.called.append(type(self).__name__)
        if type(self).__name__ in self.failing:
            raise KeyboardInterrupt
        training.report({"loss/train": 1.0}, 0)
        number = sum(float(each.state["number"]) for each in training.parts.values())
        return Constant().with_state({"number": np.float64(number + 1 + 10 * training.options.get("epochs", 0))})


class Denoises(Codes):
    """The second: what the first learned, plus one."""

    strength: int = 0


class Samples(Codes):
    """Needs both, and learns nothing in them of its own `steer`."""

    steer: int = 0
    strength: int = 0

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        denoiser = Denoises(strength=self.strength)
        return Phase("codes", Codes(), options), Phase("denoiser", denoiser, {}, after=("codes",))


class Plugin:
    @hookimpl
    def register_methods(self, register: Any) -> None:
        for part in (Codes, Denoises, Samples):
            register(part.__name__.lower(), part)


@pytest.fixture
def registry() -> Registry:
    made = Registry.installed()
    made.add("test", Plugin())
    Codes.called.clear()
    Codes.failing.clear()
    return made


def planned(folder: Path, registry: Registry, **method: Any) -> Plan:
    path = folder / "data.nc"
    if not path.exists():
        values = np.random.default_rng(0).normal(size=(60, 2, 2)).astype("float32")
        coords = {"time": np.arange(60), "y": np.arange(2.0), "x": np.arange(2.0)}
        data = xr.Dataset({"field": (("time", "y", "x"), values, {"units": "1"})}, coords)
        data.to_netcdf(path, engine="h5netcdf")
    tree = {
        "name": "phases",
        "ingest": {"array": {"path": str(path), "variables": ["field"]}},
        "preprocess": [{"windows": {"inputs": 2, "targets": 2}}, {"split": {"train": [0, 40], "test": [41, 59]}}],
        "train": {"method": method, "epochs": 1},
        "evaluate": ["rmse"],
    }
    (plan,) = plans_of(Recipe.parse(tree), registry, store=str(folder / "store"))
    return plan


def committed(folder: Path) -> int:
    return len({each.parent.name for each in (folder / "store" / "train").glob("*/manifest*")})


def test_phases_are_stages_that_are_used_again(registry: Registry, tmp_path: Path) -> None:
    first = planned(tmp_path, registry, samples={})
    assert "after codes, denoiser (0 of 2 cached)" in first.text().replace("\n", " ")
    done = execute(first, registry=registry)
    assert Codes.called == ["Codes", "Denoises", "Samples"]
    assert committed(tmp_path) == 3
    # 11, then 11 + 1, then 11 + 12 + 11: the sampler is given both, the denoiser the codes.
    assert float(np.sqrt((done.stages["evaluate"].records[0].value - 34.0) ** 2)) < 1.0
    again = planned(tmp_path, registry, samples={"steer": 1})
    assert "(2 of 2 cached)" in again.text()
    execute(again, registry=registry)
    assert Codes.called[3:] == ["Samples"]
    execute(planned(tmp_path, registry, samples={"strength": 1}), registry=registry)
    assert Codes.called[4:] == ["Denoises", "Samples"]


def test_after_an_interruption_earlier_phases_are_not_learned_again(registry: Registry, tmp_path: Path) -> None:
    Codes.failing.add("Denoises")
    with pytest.raises(KeyboardInterrupt):
        execute(planned(tmp_path, registry, samples={}), registry=registry)
    Codes.failing.clear()
    execute(planned(tmp_path, registry, samples={}), registry=registry)
    assert Codes.called == ["Codes", "Denoises", "Denoises", "Samples"]


def test_members_of_an_ensemble_are_phases(registry: Registry, tmp_path: Path) -> None:
    """A larger ensemble learns its new members only, and a single network is the member of its seed."""
    pytest.importorskip("thalweg_ensembles")
    toy: dict[str, Any] = {"fno": {"width": 4, "modes": 1, "layers": 1}}
    small = execute(planned(tmp_path, registry, **{"deep-ensemble": {"of": toy, "members": 2}}), registry=registry)
    assert committed(tmp_path) == 3
    large = execute(planned(tmp_path, registry, **{"deep-ensemble": {"of": toy, "members": 3}}), registry=registry)
    assert committed(tmp_path) == 5
    single = execute(planned(tmp_path, registry, **toy), registry=registry)
    assert single.stages["train"].reused
    assert committed(tmp_path) == 5
    assert len({round(scalars(each.records())["free/rmse"], 9) for each in (small, large, single)}) == 3
    # What a run needs is not pruned.
    assert {each.parent.name for each in (tmp_path / "store" / "train").glob("*/manifest*")} >= set(
        large.plan.stages()["train"]
    )
    assert len(large.plan.stages()["train"]) == 4


class Hungry(Codes):
    """Takes memory, of the options that it is given."""

    def demand(self, given: Signature, wanted: Signature, options: Mapping[str, Any]) -> Demand:
        if options.get("epochs", 1) > 5:
            raise OptionError("too long")
        return Demand(2, 100)


class Above(Codes):
    """Its phases take more than itself."""

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        return Phase("first", Codes(), {}), Phase("hungry", Hungry(), options, after=("first",))


def test_a_learner_takes_what_its_phases_take() -> None:
    assert Above().demand(Signature(), Signature(), {}) == Demand(2, 100)
    with pytest.raises(OptionError, match=r"^phase hungry: too long"):
        Above().demand(Signature(), Signature(), {"epochs": 9})


def test_a_learner_without_a_network_has_phases_of_networks_that_are_built_on_each_other() -> None:
    """The plan builds each, as the training would."""
    from thalweg.learning import Layout, TorchLearner, frozen
    from thalweg.testing import series, windowed
    from torch import nn

    class Cell(TorchLearner):
        def build(self, given: Signature, wanted: Signature) -> nn.Module:
            leads = Layout.of(wanted).sizes[0]
            return nn.Sequential(nn.Linear(1, 1), Repeated(leads))

    class Repeated(nn.Module):
        def __init__(self, leads: int) -> None:
            super().__init__()
            self.leads = leads

        def forward(self, inputs: Any) -> Any:
            return inputs[:, -1:].expand(-1, self.leads, *inputs.shape[2:])

    class Second(Cell):
        def build(self, given: Signature, wanted: Signature) -> nn.Module:
            return nn.Sequential(frozen(self.parts["first"]), nn.Linear(1, 1))

    class Both(Codes):
        def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
            return Phase("first", Cell(), {}), Phase("second", Second(), {"batch": 99}, after=("first",))

    samples = Split.of(windowed(series()), "train")
    few = Cell().demand(samples.given, samples.wanted, {}).memory
    assert Both().demand(samples.given, samples.wanted, {}).memory > few
