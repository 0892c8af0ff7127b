"""The index of samples: what it says of steps and tracks, and that it is refused once its steps were cut."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import HandshakeError, Samples
from thalweg.samples import Pairs, SampleIndex, Windows, index_of

ROOT = Path(__file__).resolve().parents[1]


@st.composite
def indices(draw: st.DrawFn) -> tuple[Windows, xr.Dataset]:
    inputs, targets, every = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    extent = (inputs + targets - 1) * every + 1
    size, rows = extent + draw(st.integers(0, 15)), draw(st.integers(1, 3))
    count = draw(st.integers(1, 9))
    begin = np.array(draw(st.lists(st.integers(0, size - extent), min_size=count, max_size=count)))
    row = np.array(draw(st.lists(st.integers(0, rows - 1), min_size=count, max_size=count)))
    step = 1000 * np.arange(rows)[:, None] + np.arange(size)
    data = xr.Dataset({"field": (("series", "time"), step.astype(float))}, {"time": np.arange(size)})
    index = Windows(dim="time", series="series", begin=begin, row=row, inputs=inputs, targets=targets, every=every)
    return index, data


@settings(max_examples=100, deadline=None)
@given(indices())
def test_its_steps_are_those_that_are_read(given_: tuple[Windows, xr.Dataset]) -> None:
    index, data = given_
    samples = Samples.of(index.on(data))
    everything = slice(None)
    read = np.concatenate([samples.inputs(everything)["field"], samples.truth(everything)["field"]], axis=1)
    steps = index.steps(index.numbers())
    np.testing.assert_array_equal(read, 1000 * index.row[:, None] + steps)
    covered = index.covered(index.numbers(), data)
    for sample, touched in enumerate(steps):
        assert covered[index.row[sample], touched.min() : touched.max() + 1].all()
    assert covered.sum() <= sum(touched.max() - touched.min() + 1 for touched in steps)


@settings(max_examples=100, deadline=None)
@given(indices())
def test_tracks_go_a_lead_at_a_time_and_hold_each_step_once(given_: tuple[Windows, xr.Dataset]) -> None:
    index, data = given_
    runs = [each.values for each in Samples.of(index.on(data)).runs("field")]
    assert all((np.diff(each) == index.every).all() for each in runs)
    found = np.concatenate(runs)
    assert len(np.unique(found)) == len(found)
    touched = 1000 * index.row[:, None] + index.steps(index.numbers())
    assert set(found) == set(touched.ravel())


@settings(max_examples=60, deadline=None)
@given(indices())
def test_samples_apart_share_no_step(given_: tuple[Windows, xr.Dataset]) -> None:
    index, _ = given_
    kept = index.apart(index.numbers())
    touched = (1000 * index.row[:, None] + index.steps(index.numbers()))[kept].ravel()
    assert len(set(touched)) == len(touched)


def same(one: SampleIndex, other: SampleIndex) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one) if name != "counted")


@settings(max_examples=30, deadline=None)
@given(indices())
def test_it_comes_back_from_the_dataset(given_: tuple[Windows, xr.Dataset]) -> None:
    index, data = given_
    labelled = index.labelled(np.arange(len(index)) % 3)
    for each in (index, labelled):
        assert same(each, index_of(each.on(data)))


@pytest.mark.bad_input("sources", "steps cut after the samples were counted: {id}")
@pytest.mark.parametrize(
    "cut",
    [{"time": slice(3, None)}, {"time": slice(None, -1)}, {"time": slice(None, None, 2)}],
    ids=["first steps", "last step", "every second step"],
)
def test_steps_that_were_cut_after_it_was_made_are_refused(cut: dict[str, Any]) -> None:
    begin = np.arange(8)
    index = Windows(dim="time", begin=begin, row=np.zeros_like(begin), inputs=2, targets=1)
    data = index.on(xr.Dataset({"field": ("time", np.arange(20.0))}))
    with pytest.raises(HandshakeError, match="counted over 20 positions of 'time', and the data now have"):
        Samples.of(data.isel(cut))


def test_the_labels_of_pairs_are_cut_with_them() -> None:
    pairs = Pairs.over("sample", 6, inputs=("a",), truth=("b",)).labelled(np.array([0, 0, 0, 1, 2, 2]))
    data = pairs.on(xr.Dataset({"a": ("sample", np.arange(6.0)), "b": ("sample", np.arange(6.0))}))
    cut = data.isel(sample=slice(2, 5))
    assert [list(Samples.of(cut, split).inputs(slice(None))["a"]) for split in ("train", "validate", "test")] == [
        [2.0],
        [3.0],
        [4.0],
    ]


WORDS = ("window_start", "window_series", "window_split", "window_further", "pair_split")


def test_no_other_module_knows_how_an_index_is_written() -> None:
    files = [file for folder in ("core", "plugins", "flows") for file in (ROOT / folder).rglob("*.py")]
    places = {file.relative_to(ROOT).as_posix(): file for file in files if "tests" not in file.parts}
    known = [
        f"{place}:{node.lineno}"
        for place, file in places.items()
        if not place.startswith("core/thalweg/samples/")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in WORDS
    ]
    assert not known


def test_series_that_were_cut_after_it_was_made_are_refused() -> None:
    index = Windows(dim="time", series="buoy", begin=np.arange(4), row=np.arange(4), inputs=2, targets=1)
    data = index.on(xr.Dataset({"field": (("buoy", "time"), np.zeros((4, 9)))}))
    with pytest.raises(HandshakeError, match="counted over 4 positions of 'buoy', and the data now have 2"):
        Samples.of(data.isel(buoy=[3, 1]))
