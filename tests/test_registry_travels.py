"""A registry is a value: what runs asks the one that it was given, in every process, and not the installed plugins."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import Held, Law, OperatorEnforcer, Registry, UnknownNameError, hookimpl, scalars
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans_of
from thalweg.recipes.recipe import Recipe
from thalweg.testing.toy_learner import ToyLearner, ToyLoss


class Zero(Law):
    """Nothing."""

    variable: str = "field"

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return fields[[self.variable]].map(lambda each: (each * 0).assign_attrs(units="1"))


class Same(OperatorEnforcer):
    """Leaves a network as it is."""

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return {}

    def wrap(self, network: Any, held: Held, prefix: str) -> Any:
        return network


class Mine:
    @hookimpl
    def register_methods(self, register: Any) -> None:
        register("my-toy", ToyLearner)

    @hookimpl
    def register_losses(self, register: Any) -> None:
        register("my-loss", ToyLoss)

    @hookimpl
    def register_laws(self, register: Any) -> None:
        register("my-law", Zero)

    @hookimpl
    def register_enforcers(self, register: Any) -> None:
        register("my-enforcer", Same)


@pytest.fixture
def mine() -> Registry:
    registry = Registry.installed()
    registry.add("mine", Mine())
    return registry


@pytest.mark.parametrize("cluster", ["threads", {"local": {"workers": 1}}], ids=["threads", "a process"])
@pytest.mark.parametrize(
    ("train", "constrain"),
    [
        ({"method": "my-toy", "loss": "my-loss", "epochs": 1}, []),
        ({"method": "my-toy", "epochs": 1}, [{"hold": "my-law", "by": "my-enforcer"}]),
        ({"method": {"deep-ensemble": {"of": "my-toy", "members": 2}}, "epochs": 1}, []),
    ],
    ids=["a loss", "a law in the network", "a learner in an ensemble"],
)
def test_parts_that_no_installed_plugin_provides_run(
    mine: Registry, tmp_path: Path, cluster: Any, train: Any, constrain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 4, 4)).astype("float32")
    coords = {"time": np.arange(60), "y": np.arange(4.0), "x": np.arange(4.0)}
    data = xr.Dataset({"field": (("time", "y", "x"), values, {"units": "1"})}, coords)
    data.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    recipe = Recipe.parse(
        {
            "name": "travels",
            "ingest": {"array": {"path": str(tmp_path / "data.nc"), "variables": ["field"]}},
            "preprocess": [{"windows": {"inputs": 2, "targets": 2}}, {"split": {"train": [0, 40], "test": [41, 59]}}],
            "train": train,
            "constrain": constrain,
            "evaluate": ["rmse"],
            "cluster": cluster,
        }
    )
    (plan,) = plans_of(recipe, mine, store=str(tmp_path / "store"))

    def refuse(cls: type[Registry]) -> Registry:  # noqa: ARG001
        raise AssertionError("the installed plugins were asked for")

    monkeypatch.setattr(Registry, "installed", classmethod(refuse))
    done = execute(plan, registry=mine)
    assert scalars(done.records())["free/rmse"] > 0


def test_it_comes_back_equal_from_a_pickle(mine: Registry) -> None:
    again = pickle.loads(pickle.dumps(mine))
    assert again == mine
    assert hash(again) == hash(mine)
    assert again.parts("methods") == mine.parts("methods")
    assert again.origins == mine.origins
    again.add("other", ModuleType("other"))
    assert again != mine


def test_an_empty_one_knows_no_part() -> None:
    with pytest.raises(UnknownNameError, match="none: no plugin provides methods"):
        pickle.loads(pickle.dumps(Registry())).get("methods", "persistence")


def test_a_plugin_that_is_a_module_is_imported_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_plugin_of_this_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    again = pickle.loads(pickle.dumps(Registry({"made": module})))
    assert again.module("made") is module
