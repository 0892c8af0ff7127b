"""Random numbers of samples and members: the same alone and in any batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import Draw, Samples
from thalweg.learning.batches import SampleBatches
from thalweg.learning.loader import Loader
from thalweg.learning.ranks import Alone
from thalweg.learning.reader import reader_of
from thalweg.testing import series, windowed

SAMPLES = Samples.of(windowed(series()).load(), "train")


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(6)), st.integers(1, 6), st.integers(0, 4))
def test_a_sample_draws_the_same_in_any_batch(order: list[int], size: int, member: int) -> None:
    whole = Draw.of(SAMPLES.inputs(slice(0, 6)), seed=3, members=5)
    expected = whole.normal("z", (4, 2), members=True)
    assert expected.shape == (6, 5, 4, 2)
    for start in range(0, 6, size):
        at = order[start : start + size]
        part = Draw.of(SAMPLES.inputs(at), seed=3, members=5)
        np.testing.assert_array_equal(part.normal("z", (4, 2), members=True), expected[at])
        np.testing.assert_array_equal(part.member(member).normal("z", (4, 2)), expected[at, member])


def test_all_that_it_is_keyed_by_tells_draws_apart() -> None:
    one = Draw(1, (1, 2))
    drawn = [
        each.normal(name, (3,)).tobytes()
        for each in (one, Draw(2, (1, 2)), Draw(1, ("1", "2")), one.at(1), one.member(1))
        for name in ("z", "y")
    ]
    assert len(set(drawn)) == len(drawn)
    rows = Draw(1, tuple(range(50)), tuple(range(4))).normal("z", (2,), members=True).reshape(-1, 2)
    assert len(np.unique(rows, axis=0)) == 200
    np.testing.assert_array_equal(one.normal("z", (3,)), Draw(1, (1, 2)).normal("z", (3,)))


def test_they_are_normal_and_uniform() -> None:
    many = Draw(0, tuple(range(200)))
    normal, uniform = many.normal("z", (500,)), many.uniform("z", (500,))
    assert normal.dtype == uniform.dtype == np.float32
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    assert 0 <= uniform.min() < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(normal[:100].ravel(), normal[100:].ravel())[0, 1]) < 0.02


def test_no_other_generator_is_touched() -> None:
    states = np.random.get_state(legacy=True)[1], torch.get_rng_state()
    Draw(0, (1,)).normal("z", (3,))
    assert np.array_equal(np.random.get_state(legacy=True)[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1])


def test_samples_without_coordinates_are_known_by_their_values() -> None:
    values = np.random.default_rng(0).normal(size=(4, 3))
    inputs = xr.Dataset({"a": (("sample", "x"), values)})
    whole = Draw.of(inputs, seed=0).normal("z", (2,))
    np.testing.assert_array_equal(Draw.of(inputs.isel(sample=[2]), seed=0).normal("z", (2,)), whole[[2]])
    assert len(np.unique(whole, axis=0)) == 4


@pytest.mark.parametrize("accumulate", [1, 3])
def test_batches_draw_by_sample_and_step(accumulate: int) -> None:
    def drawn(accumulate: int) -> dict[tuple[int, int], Any]:
        reader = reader_of(SAMPLES, batch=7)
        batches = SampleBatches(
            Loader(reader, largest=7), batch=7, accumulate=accumulate, seed=1, shuffle="windows", ranks=Alone(),
            device=torch.device("cpu"),
        )  # fmt: skip
        found = {}
        for epoch in (0, 1):
            for share in batches.epoch(epoch, 0):
                for batch in share:
                    for sample, row in zip(batch.positions, batch.draw.normal("z", (2,)), strict=True):
                        found[batch.step, int(sample)] = tuple(row.tolist())
        reader.close()
        return found

    whole = drawn(1)
    assert drawn(accumulate) == whole
    assert len(set(whole.values())) == len(whole) == 2 * len(SAMPLES)
