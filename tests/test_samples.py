"""Samples: every read equals the naive gather, and touches only the steps that it returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import HandshakeError, Samples
from thalweg.samples import shared_steps
from xarray.backends import BackendArray
from xarray.core import indexing

LATITUDE, MODELS = 3, 4


class Counted(BackendArray):
    """An array that counts how often each step of its `axis` is read."""

    def __init__(self, values: np.ndarray[Any, Any], axis: int) -> None:
        self.values, self.axis, self.shape, self.dtype = values, axis, values.shape, values.dtype
        self.reads = np.zeros(values.shape[axis], dtype=int)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        self.reads[key[self.axis]] += 1
        return self.values[key]


def spec(**changed: Any) -> dict[str, Any]:
    plain = {"kind": "windows", "dim": "time", "inputs": 3, "targets": 2, "every": 1, "series": None}
    return {**plain, "observe": [], "predict": [], **changed}


def times(size: int) -> Any:
    return xr.date_range("2000-01-01", periods=size, freq="MS", use_cftime=False)


@st.composite
def batches(draw: st.DrawFn) -> tuple[dict[str, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], list[int], int]:
    inputs, targets, every = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    extent = (inputs + targets - 1) * every + 1
    size = extent + draw(st.integers(0, 12))
    count = draw(st.integers(1, 8))
    start = np.array(draw(st.lists(st.integers(0, size - extent), min_size=count, max_size=count)))
    row = np.array(draw(st.lists(st.integers(0, MODELS - 1), min_size=count, max_size=count)))
    at = draw(st.lists(st.integers(0, count - 1), max_size=6))
    return spec(inputs=inputs, targets=targets, every=every), start, row, at, size


def expected(values: np.ndarray[Any, Any], start: Any, at: list[int], how: dict[str, Any], *, truth: bool) -> Any:
    """The window at each position, step by step; `values` has the steps first."""
    steps = range(how["inputs"], how["inputs"] + how["targets"]) if truth else range(how["inputs"])
    rows = [[values[start[i] + step * how["every"]] for step in steps] for i in at]
    return np.array(rows).reshape(len(at), len(steps), *values.shape[1:])


@settings(max_examples=60, deadline=None)
@given(batches(), st.sampled_from(["numpy", "dask", "lazy"]), st.booleans())
def test_windows_are_the_naive_gather(batch: Any, backing: str, truth: bool) -> None:
    how, start, _, at, size = batch
    values = np.random.default_rng(0).standard_normal((LATITUDE, size)).astype(np.float32)
    counted = Counted(values, axis=1)
    field = xr.Variable(("latitude", "time"), indexing.LazilyIndexedArray(counted) if backing == "lazy" else values)
    data = xr.Dataset({"field": field, "window_start": ("window", start)}, {"time": times(size)}, {"samples": how})
    if backing == "dask":
        data = data.chunk(time=4)
    samples = Samples.of(data)
    got = samples.truth(at) if truth else samples.inputs(at)
    assert got["field"].dims == ("sample", "lead", "latitude")
    np.testing.assert_array_equal(got["field"].values, expected(values.T, start, at, how, truth=truth))
    axis = data["time"].values
    np.testing.assert_array_equal(got["valid_time"], expected(axis, start, at, how, truth=truth))
    np.testing.assert_array_equal(
        got["reference_time"], [axis[start[i] + (how["inputs"] - 1) * how["every"]] for i in at]
    )
    leads = np.arange(1, how["targets"] + 1) if truth else np.arange(1 - how["inputs"], 1)
    np.testing.assert_array_equal(got["lead"], leads)
    if backing == "lazy":
        length = how["targets"] if truth else how["inputs"]
        covered = np.zeros(size, dtype=int)
        for i in at:
            first = start[i] + (how["inputs"] * how["every"] if truth else 0)
            covered[first : first + (length - 1) * how["every"] + 1] = 1
        np.testing.assert_array_equal(counted.reads, covered)


@settings(max_examples=40, deadline=None)
@given(batches(), st.booleans(), st.booleans())
def test_windows_of_series_are_the_naive_gather(batch: Any, truth: bool, chunked: bool) -> None:
    how, start, row, at, size = batch
    how = {**how, "series": "model"}
    random = np.random.default_rng(0)
    values, shared = random.standard_normal((MODELS, size, LATITUDE)), random.standard_normal(size)
    data = xr.Dataset(
        {
            "field": (("model", "time", "latitude"), values),
            "forcing": ("time", shared),
            "height": (("model", "latitude"), values[:, 0]),
            "window_start": ("window", start),
            "window_series": ("window", row),
        },
        {"model": 10 + np.arange(MODELS), "generation": ("model", 5 + np.arange(MODELS) % 2)},
        {"samples": how},
    )
    samples = Samples.of(data.chunk(time=3, model=1) if chunked else data)
    got = samples.truth(at) if truth else samples.inputs(at)
    parts = [expected(values[row[i]], start, [i], how, truth=truth) for i in at]
    np.testing.assert_array_equal(got["field"].values, np.concatenate([got["field"].values[:0], *parts]))
    np.testing.assert_array_equal(got["forcing"].values, expected(shared, start, at, how, truth=truth))
    np.testing.assert_array_equal(got["model"], 10 + row[at] if at else [])
    np.testing.assert_array_equal(got["generation"], 5 + row[at] % 2 if at else [])
    assert ("height" in got) is not truth
    if not truth:
        np.testing.assert_array_equal(got["height"], values[row[at], 0] if at else np.empty((0, LATITUDE)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=6), st.booleans())
def test_pairs_are_the_rows_asked_for_each_read_once(at: list[int], truth: bool) -> None:
    values = np.random.default_rng(0).standard_normal((2, 9))
    counted = Counted(values, axis=1)
    lazy = xr.Variable(("channel", "image"), indexing.LazilyIndexedArray(counted))
    data = xr.Dataset(
        {"picture": lazy, "caption": ("image", np.arange(9) ** 2), "basis": ("channel", [1.0, 2.0])},
        {"image": np.arange(9) * 10},
        {"samples": {"kind": "pairs", "dim": "image", "inputs": ["picture", "basis"], "truth": ["caption"]}},
    )
    samples = Samples.of(data)
    got = samples.truth(at) if truth else samples.inputs(at)
    np.testing.assert_array_equal(got["sample"], np.array(at, dtype=int) * 10)
    if truth:
        np.testing.assert_array_equal(got["caption"], np.array(at, dtype=int) ** 2)
        assert not counted.reads.any()
    else:
        np.testing.assert_array_equal(got["picture"].transpose("channel", "sample"), values[:, np.array(at, dtype=int)])
        np.testing.assert_array_equal(got["basis"], [1.0, 2.0])
        np.testing.assert_array_equal(counted.reads, np.isin(np.arange(9), at))


def test_a_dataset_as_a_whole_is_one_pair() -> None:
    data = xr.Dataset({"graph": ("edge", [1, 2]), "pose": ("node", [3.0])}, attrs={})
    data.attrs["samples"] = {"kind": "pairs", "dim": None, "inputs": ["graph"], "truth": ["pose"]}
    samples = Samples.of(data, "test")
    assert len(samples) == 1
    assert list(samples.inputs([0])) == ["graph"]
    assert list(samples.truth(slice(None))) == ["pose"]


def windows(size: int = 10, **changed: Any) -> tuple[xr.Dataset, Counted]:
    counted = Counted(np.zeros((size, LATITUDE), dtype=np.float32), axis=0)
    field = xr.Variable(("time", "latitude"), indexing.LazilyIndexedArray(counted), {"units": "K"})
    how = spec(**changed)
    count = size - how["inputs"] - how["targets"] + 1
    index = {"window_start": ("window", np.arange(count)), "window_split": ("window", np.arange(count) % 3)}
    fields = {"field": field, "label": ("time", np.arange(size)), "land": ("latitude", np.ones(LATITUDE)), **index}
    return xr.Dataset(fields, {"time": times(size)}, {"samples": how}), counted


def test_signatures_name_what_is_read_and_read_nothing() -> None:
    data, counted = windows(observe=["field"], predict=["label"])
    samples = Samples.of(data, "train")
    given, wanted = samples.given, samples.wanted
    assert not counted.reads.any()
    for signature, read in ((given, samples.inputs(slice(None))), (wanted, samples.truth(slice(None)))):
        assert set(signature.names) == set(read.data_vars)
        for name, array in read.data_vars.items():
            assert signature[str(name)].dims == array.dims
            assert signature[str(name)].dtype == str(array.dtype)
            assert all(signature.sizes[str(dim)] == size for dim, size in array.sizes.items())
    assert given.names == ("field", "land")
    assert wanted.names == ("label",)
    assert given["field"].units == "K"


def test_splits_part_the_windows_and_first_takes_the_first() -> None:
    data, _ = windows()
    split = [Samples.of(data, name) for name in ("train", "validate", "test")]
    assert sorted(np.concatenate([each.numbers for each in split])) == list(Samples.of(data).numbers)
    assert list(split[1].first(1).numbers) == [1]
    assert len(split[0].first(99)) == len(split[0])
    assert shared_steps(data, "train", "test") > 0


def test_steps_are_shared_only_where_windows_meet() -> None:
    data, _ = windows(12, inputs=2, targets=1)
    apart = data.assign(window_split=("window", [0, -1, -1, 2, -1, -1, -1, -1, -1, -1]))
    assert shared_steps(apart, "train", "test") == 0
    assert shared_steps(data.assign(window_split=("window", [0, 2, *[-1] * 8])), "train", "test") == 2


def test_a_slice_reads_what_its_positions_do() -> None:
    data, _ = windows()
    samples = Samples.of(data)
    xr.testing.assert_identical(samples.truth(slice(1, 5, 2)), samples.truth([1, 3]))
    xr.testing.assert_identical(samples.inputs(slice(-2, None)), samples.inputs([-2, -1]))
    assert samples.inputs([]).sizes["sample"] == 0


def test_data_without_samples_are_refused() -> None:
    with pytest.raises(HandshakeError, match="no samples"):
        Samples.of(xr.Dataset())
    data, _ = windows()
    empty = Samples.of(data.assign(window_split=("window", np.full(6, -1))), "test")
    with pytest.raises(HandshakeError, match="holds no samples"):
        _ = empty.wanted


def test_windows_of_interleaved_series_read_each_step_of_each_series_once() -> None:
    counted = Counted(np.zeros((2, 12)), axis=1)
    field = xr.Variable(("model", "time"), indexing.LazilyIndexedArray(counted))
    index = {"window_start": ("window", [0, 1, 2, 0, 1, 2]), "window_series": ("window", [0, 0, 0, 1, 1, 1])}
    data = xr.Dataset({"field": field, **index}, attrs={"samples": spec(series="model")})
    Samples.of(data).inputs([0, 3, 1, 4, 2, 5])
    assert list(counted.reads) == [2] * 5 + [0] * 7
