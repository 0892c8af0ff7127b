"""Samples of unlike size: what a batch of them holds is what the same samples hold when they are padded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import HandshakeError, Pairs, Ragged, Samples, index_of
from thalweg.samples.ragged import Slots
from thalweg.samples.values import digest_of

INPUTS, TRUTH = ("height", "label"), ("height", "weight", "whole")


@st.composite
def bundles(draw: st.DrawFn) -> tuple[xr.Dataset, xr.Dataset]:
    """The same samples twice: in rows, and padded with NaN."""
    count = draw(st.integers(1, 6))
    nodes, edges = (np.array(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))) for _ in range(2))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    height = [random.normal(size=(n, 2)) for n in nodes]
    weight = [random.normal(size=n) for n in edges]
    own = {"whole": ("graph", random.normal(size=count)), "label": ("kind", np.arange(3.0))}
    coords = {"graph": [f"g{i}" for i in range(count)], "place": ("graph", np.arange(count) * 10)}
    rows = xr.Dataset(
        {"height": (("node", "axis"), np.concatenate(height)), "weight": ("edge", np.concatenate(weight)), **own},
        coords,
    )
    wide = xr.Dataset(
        {"height": (("graph", "node", "axis"), padded(height)), "weight": (("graph", "edge"), padded(weight)), **own},
        coords,
    )
    if draw(st.booleans()):
        rows = rows.chunk({"node": 2, "edge": 3})
    ragged = Ragged.over("graph", {"node": nodes, "edge": edges}, inputs=INPUTS, truth=TRUTH)
    return ragged.on(rows), Pairs.over("graph", count, inputs=INPUTS, truth=TRUTH).on(wide)


def padded(parts: list[Any]) -> Any:
    size = max(1, *(len(each) for each in parts))
    return np.stack([np.concatenate([each, np.full((size - len(each), *each.shape[1:]), np.nan)]) for each in parts])


@settings(max_examples=80, deadline=None)
@given(bundles(), st.data())
def test_a_batch_holds_the_elements_of_its_samples_in_a_row(
    both: tuple[xr.Dataset, xr.Dataset], data: st.DataObject
) -> None:
    rows, wide = (Samples.of(each) for each in both)
    at = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    for side in ("inputs", "truth"):
        found, expected = getattr(rows, side)(at), getattr(wide, side)(at)
        assert set(found.data_vars) == set(expected.data_vars)
        for name in ("graph", "sample", "place"):
            assert (name in found.coords) == (name in expected.coords)
        np.testing.assert_array_equal(found["place"], expected["place"])
        for name in expected.data_vars:
            ragged = next((dim for dim in ("node", "edge") if dim in found[name].dims), None)
            if ragged is None:
                np.testing.assert_array_equal(found[name], expected[name])
                continue
            for i in range(len(at)):
                own = found[name].values[found[f"{ragged}_sample"].values == i]
                assert len(own) == found[f"{ragged}_count"].values[i]
                np.testing.assert_array_equal(own, expected[name].values[i][: len(own)])
                assert np.isnan(expected[name].values[i][len(own) :]).all()
    assert rows.sizes(at)["node"] == rows.inputs(at).sizes["node"]


@settings(max_examples=30, deadline=None)
@given(bundles())
def test_sizes_of_a_signature_are_those_of_the_largest_sample(both: tuple[xr.Dataset, xr.Dataset]) -> None:
    rows = Samples.of(both[0])
    count = both[0]["ragged_count_node"].values
    assert rows.given.sizes["node"] == count.max()
    assert rows.given.sizes["sample"] == len(count)
    assert rows.sizes(slice(None)) == {
        "sample": len(count),
        "node": count.sum(),
        "edge": both[0]["ragged_count_edge"].values.sum(),
    }


@settings(max_examples=60, deadline=None)
@given(bundles())
def test_the_index_is_read_as_it_was_written_and_samples_may_be_cut(both: tuple[xr.Dataset, xr.Dataset]) -> None:
    data = both[0]
    index = index_of(data)
    assert isinstance(index, Ragged)
    again = index.labelled(np.arange(len(index)) % 2 * 2).on(data)
    cut = Samples.of(again.isel(graph=slice(1, None)), "test")
    whole = Samples.of(again, "test")
    assert cut.coordinates("truth")["sample"].values.tolist() == whole.coordinates("truth")["sample"].values.tolist()
    if len(cut):
        xr.testing.assert_identical(cut.truth(slice(None)), whole.truth(slice(None)))


def test_elements_that_were_cut_since_are_refused() -> None:
    data = example([3, 1])
    with pytest.raises(HandshakeError) as error:
        Samples.of(data.isel(node=slice(0, 3)))
    assert error.value.given == "the samples were counted over 4 positions of 'node', and the data now have 3"


def test_a_field_along_samples_and_elements_is_refused() -> None:
    data = xr.Dataset({"height": (("graph", "node"), np.zeros((2, 4)))})
    with pytest.raises(HandshakeError) as error:
        Ragged.over("graph", {"node": [3, 1]}, inputs=("height",), truth=("height",)).on(data)
    assert error.value.given == "'height' lies along 'graph' and 'node'"


def test_counts_beyond_the_elements_are_refused() -> None:
    data = xr.Dataset({"height": ("node", np.zeros(4))})
    with pytest.raises(HandshakeError) as error:
        Ragged.over("graph", {"node": [3, 2]}, inputs=("height",), truth=("height",)).on(data)
    assert error.value.given == "samples have elements up to 5 along 'node', which has 4"


def test_its_content_changes_with_a_count_of_the_split_and_with_no_other() -> None:
    label = np.array([0, 2, 2])
    one, test, train = (
        Ragged.over("graph", {"node": counts}, inputs=("height",), truth=("height",)).labelled(label)
        for counts in ([3, 1, 2], [3, 1, 4], [4, 1, 2])
    )
    assert one.content("train") == test.content("train") != train.content("train")
    assert one.content("test") != test.content("test")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 7))
def test_each_chunk_has_one_writer_and_little_is_left_empty(counts: list[int], batch: int) -> None:
    count = np.array(counts)
    slots = Slots.of(count, batch=batch)
    written = []
    for number in range(-(-len(count) // batch)):
        region, at = slots.region(number), slice(number * batch, (number + 1) * batch)
        assert region.start % slots.chunk == 0
        assert (region.stop - region.start) % slots.chunk == 0
        own = np.concatenate([np.arange(s, s + n) for s, n in zip(slots.start[at], count[at], strict=True)] or [[]])
        assert ((own >= region.start) & (own < region.stop)).all()
        np.testing.assert_array_equal(own, region.start + np.arange(len(own)))
        written += own.tolist()
    assert len(set(written)) == len(written) == count.sum()
    batches = -(-len(count) // batch)
    assert slots.size <= count.sum() + max(1, batches * (count.sum() / (8 * batches) + 1))


def example(counts: list[int]) -> xr.Dataset:
    data = xr.Dataset({"height": ("node", np.arange(float(sum(counts))))})
    return Ragged.over("graph", {"node": counts}, inputs=("height",), truth=("height",)).on(data)


@pytest.mark.parametrize(
    ("counts", "changed", "same"),
    [
        ([3, 1, 2], None, True),
        ([3, 1, 2], 4, True),
        ([3, 1, 2], 1, False),
        ([3, 1, 5], None, True),
        ([2, 2, 2], None, False),
    ],
    ids=["again", "a value of the test", "a value of train", "a larger test graph", "other counts"],
)
def test_a_training_is_found_by_the_values_of_its_samples(counts: list[int], changed: int | None, same: bool) -> None:
    def digest(counts: list[int], changed: int | None) -> str:
        data = example(counts)
        if changed is not None:
            data["height"].values[changed] += 1
        return digest_of(index_of(data).labelled(np.array([0, 0, 2])).on(data), "train")

    assert (digest(counts, changed) == digest([3, 1, 2], None)) == same
