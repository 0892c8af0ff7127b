"""What was learned from the same values is found again, whatever lies around them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from running import ran
from thalweg import Pairs, Ragged, Windows
from thalweg.pipeline import Execution
from thalweg.samples.values import digest_of
from thalweg.stores.committed import Committed

Recipes = Callable[..., Path]


def trained(done: Execution) -> tuple[bytes, bytes]:
    """The arrays that were learned, and what the training cost."""
    folder = Path(done.stages["train"].store)
    return (folder / "state.safetensors").read_bytes(), str(done.stages["train"].numbers["cost/seconds/train"]).encode()


@pytest.mark.parametrize("change", ["the source grew", "the test period is of another file"])
def test_a_source_that_changed_elsewhere_trains_nothing_again(
    recipe: Recipes, wave: Path, tmp_path: Path, change: str
) -> None:
    def file(path: Path) -> Path:
        return recipe(ingest={"array": {"path": str(path), "variables": ["temperature"]}})

    before = ran(file(wave), tmp_path / "store")
    with xr.open_dataset(wave) as data:
        data.load()
    months = xr.date_range("2010-01-01", periods=24, freq="MS", use_cftime=False)
    later = data.isel(time=slice(-24, None)).assign_coords(time=months)
    other = data.copy(deep=True)
    other["temperature"][{"time": slice(-36, None)}] += 1.0
    made = xr.concat([data, later], "time") if change == "the source grew" else other
    made.to_netcdf(tmp_path / "other.nc")
    after = ran(file(tmp_path / "other.nc"), tmp_path / "store")
    assert [each.reused for each in after.stages.values()] == [False] * 5
    assert trained(after) == trained(before), "what it took is what the training took"
    assert after.stages["train"].store != before.stages["train"].store, "and its folder stands alone"
    alone = ran(file(tmp_path / "other.nc"), tmp_path / "alone")
    assert trained(alone)[0] == trained(before)[0]
    assert [each.value for each in alone.records()] == [each.value for each in after.records()]
    forced = ran(file(tmp_path / "other.nc"), tmp_path / "store", redo={"train"})
    assert trained(forced)[1] != trained(before)[1]


def test_a_training_is_copied_with_a_card_of_its_own(recipe: Recipes, wave: Path, tmp_path: Path) -> None:
    ran(recipe(name="before"), tmp_path / "store")
    with xr.open_dataset(wave) as data:
        data.load()
    data["temperature"][-1] += 1.0
    data.to_netcdf(tmp_path / "other.nc")
    file = recipe(name="after", ingest={"array": {"path": str(tmp_path / "other.nc"), "variables": ["temperature"]}})
    after = ran(file, tmp_path / "store")
    card = (Path(after.stages["train"].store) / "card.md").read_text()
    assert card.startswith("# after")
    assert "before" not in card


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_training_that_goes_while_it_is_copied_is_learned_here(
    recipe: Recipes, wave: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    before = ran(recipe(), tmp_path / "store")
    with xr.open_dataset(wave) as data:
        data.load()
    data["temperature"][-1] += 1.0
    data.to_netcdf(tmp_path / "other.nc")
    state = Path(before.stages["train"].store) / "state.safetensors"
    check = Committed.check

    def then(self: Committed) -> None:
        check(self)
        if str(state).startswith(self.folder):
            # Of files above 16 MB the checksum is compared when they are read.
            if how == "changed":
                state.write_bytes(b"0" * state.stat().st_size)
            else:
                shutil.rmtree(self.folder)

    monkeypatch.setattr(Committed, "check", then)
    file = recipe(ingest={"array": {"path": str(tmp_path / "other.nc"), "variables": ["temperature"]}})
    after = ran(file, tmp_path / "store")
    assert (Path(after.stages["train"].store) / "state.safetensors").read_bytes()[:1] != b"0"


def test_another_value_that_is_learned_from_trains_again(recipe: Recipes, wave: Path, tmp_path: Path) -> None:
    before = ran(recipe(), tmp_path / "store")
    with xr.open_dataset(wave) as data:
        data.load()
    data["temperature"][5, 0, 0] += 1.0
    data.to_netcdf(tmp_path / "other.nc")
    file = recipe(ingest={"array": {"path": str(tmp_path / "other.nc"), "variables": ["temperature"]}})
    assert trained(ran(file, tmp_path / "store")) != trained(before)


@st.composite
def windows(draw: st.DrawFn) -> xr.Dataset:
    """Two series of a field and a mask, cut into windows."""
    size, count = draw(st.integers(8, 20)), draw(st.integers(2, 8))
    fields = xr.Dataset(
        {
            "field": (("event", "time"), np.random.default_rng(0).normal(size=(2, size)), {"units": "K"}),
            "depth": ("event", [1.0, 2.0]),
        },
        {"time": np.arange(size), "event": ["a", "b"]},
    )
    places = draw(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, size - 3)), min_size=count, max_size=count, unique=True)
    )
    row, begin = (np.array(each) for each in zip(*sorted(places), strict=True))
    label = np.array(draw(st.lists(st.sampled_from([-1, 0, 2]), min_size=count, max_size=count)))
    index = Windows(
        dim="time", series="event", begin=begin, row=row, inputs=2, targets=1, label=label, observe=("field",)
    )
    return index.on(fields)


@settings(max_examples=100, deadline=None)
@given(windows(), st.data())
def test_the_digest_is_that_of_what_is_covered(data: xr.Dataset, draw: st.DataObject) -> None:
    """A value, an attribute or a coordinate changes it if, and only if, a sample to learn from covers it."""
    index = Windows.read(data, data.attrs["samples"])
    covered = index.covered(index.numbers("train"), data)
    row, step = draw.draw(st.integers(0, 1)), draw.draw(st.integers(0, data.sizes["time"] - 1))
    before = digest_of(data, "train")
    value = data.copy(deep=True)
    value["field"][row, step] += 1
    assert (digest_of(value, "train") != before) == covered[row, step]
    depth = data.copy(deep=True)
    depth["depth"][row] += 1
    assert (digest_of(depth, "train") != before) == covered[row].any()
    time = data.assign_coords(time=data["time"] + (np.arange(data.sizes["time"]) == step) * 100)
    assert (digest_of(time, "train") != before) == covered[:, step].any()
    units = data.assign(field=data["field"].assign_attrs(units="degC"))
    assert (digest_of(units, "train") != before) == covered.any()
    # Steps before all others move every place, and no value.
    size, more = data.sizes["time"], 3
    grown = xr.concat(
        [
            data[["field", "depth"]].isel(time=[0] * more).assign_coords(time=-1 - np.arange(more)),
            data[["field", "depth"]],
        ],
        "time",
        data_vars="minimal",
    )
    moved = Windows(
        dim="time",
        series="event",
        begin=index.begin + more,
        row=index.row,
        inputs=2,
        targets=1,
        label=index.label,
        observe=("field",),
    ).on(grown.transpose("event", "time"))
    assert moved.sizes["time"] == size + more
    assert digest_of(moved, "train") == before


def test_a_pair_counts_where_it_is_learned_from() -> None:
    fields = xr.Dataset({"x": (("pair", "k"), np.arange(12.0).reshape(4, 3)), "y": ("pair", np.arange(4.0))})
    index = Pairs.over("pair", 4, inputs=("x",), truth=("y",)).labelled(np.array([0, 0, 2, -1]))
    data = index.on(fields)
    before = digest_of(data, "train", "validate")
    for pair in range(4):
        changed = data.copy(deep=True)
        changed["y"][pair] = 9.0
        assert (digest_of(changed, "train", "validate") != before) == (pair < 2)


def test_where_shared_elements_of_samples_begin_is_counted() -> None:
    count = {"node": np.array([6, 2, 2])}

    def at(*start: int) -> str:
        index = Ragged.over("graph", count, inputs=("x",), truth=("y",)).labelled(np.zeros(3, dtype=np.int64))
        return digest_of(index.at({"node": np.array(start)}).on(fields), "train")

    fields = xr.Dataset({"x": ("node", np.arange(10.0)), "y": ("graph", np.zeros(3))})
    assert at(0, 1, 3) != at(0, 2, 3), "the second sample shares other elements of the first"
    fields["x"] = ("node", np.roll(np.arange(10.0), 1))
    moved = at(1, 2, 4)
    fields["x"] = ("node", np.arange(10.0))
    assert moved == at(0, 1, 3), "the same values, a step further"
