"""Where samples lie is kept apart from the fields: another test period trains nothing again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from running import REGISTRY, planned, ran
from thalweg import HandshakeError, IndexTransform, Registry, Samples, Windows, hookimpl, scalars
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans
from thalweg.recipes.preparation import Preparation
from thalweg.samples.placed import content, place, placed
from thalweg.stores.arrays import read

Recipes = Callable[..., Path]

LATER = "preprocess[2].split.test=[2007, 2009]"


def test_another_test_period_trains_nothing_again(recipe: Recipes, tmp_path: Path) -> None:
    """Only constrain and evaluate run, the fields are not written again, and the old scores stand to the digit."""
    first = ran(recipe(), tmp_path / "store")
    other = ran(recipe(), tmp_path / "store", LATER)
    assert [stage.reused for stage in other.stages.values()] == [True, False, True, False, False]
    assert len(list((tmp_path / "store" / "preprocess").iterdir())) == 1
    assert scalars(other.records())["free/rmse"] != scalars(first.records())["free/rmse"]
    again = ran(recipe(), tmp_path / "store")
    assert all(stage.reused for stage in again.stages.values())
    assert again.records() == first.records()
    # As from an empty store, so that what was reused is what would have been made.
    alone = ran(recipe(), tmp_path / "alone", LATER)
    assert other.records() == alone.records()
    assert alone.records()


@pytest.mark.parametrize(
    ("override", "trains"),
    [
        (LATER, False),
        ("preprocess[2].split.train=[2000, 2004]", True),
        ("preprocess[2].split={train: [2000, 2004], validate: [2005, 2005], test: [2006, 2009]}", True),
        ("preprocess[0].baseline=[2000, 2004]", True),
        ("preprocess[1].targets=3", True),
        ("preprocess[1].stride=2", True),
    ],
)
def test_what_a_training_depends_on(recipe: Recipes, tmp_path: Path, override: str, trains: bool) -> None:
    before, after = planned(recipe(), tmp_path / "store"), planned(recipe(), tmp_path / "store", override)
    assert (before.solver_digest(held=False) != after.solver_digest(held=False)) == trains
    assert before.digest != after.digest


def test_an_option_that_is_written_is_the_one_that_is_left_out(recipe: Recipes, tmp_path: Path) -> None:
    def network(**options: Any) -> Plan:
        return planned(recipe(train={"method": {"fno": {"width": 4}}, **options}), tmp_path / "store")

    plain = network().solver_digest(held=False)
    assert network(seed=0).solver_digest(held=False) == plain
    assert network(seed=1).solver_digest(held=False) != plain


def test_the_index_is_read_as_it_was_written(recipe: Recipes, tmp_path: Path) -> None:
    """Through the store: the same samples, names in the same order, and the coordinates."""
    done = ran(recipe(), tmp_path / "store", to="preprocess")
    prepared = done.prepared
    assert sorted(read(prepared.index).variables) == ["window_split", "window_start"]
    samples = prepared.samples("test")
    assert samples.given.names == ("temperature",)
    inputs, truth = samples.inputs([0]), samples.truth([0])
    assert str(inputs["reference_time"].values[0])[:7] == "2006-03"
    assert truth["valid_time"].shape == (1, 4)
    assert "window_start" not in read(prepared.preprocess)


@st.composite
def cut(draw: st.DrawFn) -> tuple[xr.Dataset, xr.Dataset]:
    size = draw(st.integers(6, 30))
    fields = xr.Dataset({"field": ("time", np.arange(float(size)))}, {"time": np.arange(size)})
    begin = np.array(sorted(draw(st.sets(st.integers(0, size - 3), min_size=3, max_size=12))))
    label = np.array(draw(st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=len(begin), max_size=len(begin))))
    index = Windows(dim="time", begin=begin, row=np.zeros_like(begin), inputs=2, targets=1, label=label)
    return fields, index.on(fields).assign_coords(event=("window", np.arange(len(begin)) * 10))


@settings(max_examples=50, deadline=None)
@given(cut(), st.data())
def test_content_is_that_of_its_splits(made: tuple[xr.Dataset, xr.Dataset], data: st.DataObject) -> None:
    """It changes with a label, a start or a coordinate of the samples asked for, and with those of no others."""
    fields, indexed = made
    learned = np.isin(indexed["window_split"].values, [0, 1])
    number = data.draw(st.integers(0, learned.size - 1))
    before = content(fields, indexed, "train", "validate")
    for name, by in (("window_start", 1), ("event", 1)):
        values = indexed[name].values.copy()
        values[number] += by
        changed = indexed.assign_coords({name: ("window", values)}) if name == "event" else None
        changed = changed if changed is not None else indexed.assign({name: ("window", values, indexed[name].attrs)})
        assert (content(fields, changed, "train", "validate") != before) == learned[number]
    values = indexed["window_split"].values.copy()
    values[number] = 2 if values[number] == -1 else -1
    changed = indexed.assign(window_split=("window", values, indexed["window_split"].attrs))
    assert (content(fields, changed, "train", "validate") != before) == learned[number]


@settings(max_examples=20, deadline=None)
@given(made=cut())
def test_place_and_placed_are_inverse(
    made: tuple[xr.Dataset, xr.Dataset], tmp_path_factory: pytest.TempPathFactory
) -> None:
    fields, indexed = made
    url = str(tmp_path_factory.mktemp("index") / "data")
    place(url, fields, indexed)
    back = placed(url, fields)
    xr.testing.assert_identical(back.drop_attrs(deep=False), indexed.drop_attrs(deep=False))
    np.testing.assert_array_equal(Samples.of(back, "train").numbers, Samples.of(indexed, "train").numbers)


class Shifts(IndexTransform):
    """Says that it changes no field, and does."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.assign(temperature=(data["temperature"] + 1).assign_attrs(data["temperature"].attrs))


class Plugin:
    @hookimpl
    def register_transforms(self, register: Any) -> None:
        register("shifts", Shifts)


@pytest.mark.bad_input("authors", "an index transform that changes a field")
def test_an_index_transform_that_changes_a_field_is_refused(recipe: Recipes, tmp_path: Path) -> None:
    registry = Registry.installed()
    registry.add("shifty", Plugin())
    sections = [{"windows": {"inputs": 3, "targets": 4}}, {"split": {"train": [2000, 2005], "test": [2006, 2009]}}]
    with pytest.raises(HandshakeError, match="shifts changes 'temperature', and an index transform leaves"):
        plans(recipe(preprocess=[*sections, "shifts"]), registry=registry, store=str(tmp_path / "store"))


def test_statistics_are_kept_and_read_back(recipe: Recipes, wave: Path, tmp_path: Path) -> None:
    done = ran(recipe(), tmp_path / "store", to="preprocess")
    kept = Preparation.read(done.stages["preprocess"].store.replace("/data", "/preparation"), REGISTRY)
    assert [each.name for each in kept.transforms] == ["anomaly"]
    raw = xr.load_dataset(wave, engine="h5netcdf")
    (anomaly,), (known,) = kept.transforms, kept.statistics
    expected = anomaly.statistics(raw).compute()
    xr.testing.assert_equal(known, expected)
    # The stored field is what the kept statistics make of the source.
    stored = done.prepared.open()["temperature"].load()
    np.testing.assert_array_equal(kept.newest(raw)["temperature"], stored)
