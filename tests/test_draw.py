"""Random numbers belong to a sample and a member, wherever and beside whatever they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import Draw
from thalweg.errors import OptionError
from thalweg.samples import Samples
from thalweg.testing import series, windowed

SHAPE = (3, 2)


def batch(at: slice | list[int]) -> xr.Dataset:
    return Samples.of(windowed(series()), "test").inputs(at)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=5), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_a_member_of_a_sample_is_the_same_in_any_batch(samples: list[int], members: int) -> None:
    whole = Draw.of(batch(slice(0, 8)), seed=3, members=6).normal("noise", SHAPE, members=True)
    part = Draw.of(batch(samples), seed=3, members=members).normal("noise", SHAPE, members=True)
    np.testing.assert_array_equal(part, whole[samples][:, :members])


def test_one_member_alone_is_that_of_the_ensemble() -> None:
    draw = Draw.of(batch(slice(0, 4)), seed=0, members=9)
    alone = draw.of_members([7]).of_samples(slice(2, 3)).normal("noise", SHAPE, members=True)
    np.testing.assert_array_equal(alone[0, 0], draw.normal("noise", SHAPE, members=True)[2, 7])


def test_everything_else_gives_other_numbers() -> None:
    draw = Draw.of(batch(slice(0, 2)), seed=0, members=2)
    found = [
        draw.normal("noise", SHAPE, members=True),
        draw.normal("other", SHAPE, members=True),
        draw.at(1).normal("noise", SHAPE, members=True),
        Draw.of(batch(slice(0, 2)), seed=1, members=2).normal("noise", SHAPE, members=True),
    ]
    rows = np.concatenate([each.reshape(4, -1) for each in found])
    assert len({row.tobytes() for row in rows}) == len(rows)
    assert draw.normal("noise", SHAPE).shape == (2, *SHAPE)


def test_numbers_are_normal_and_uniform() -> None:
    draw = Draw(0, ("a",), members=tuple(range(50)))
    normal, uniform = draw.normal("n", (400,), members=True), draw.uniform("u", (400,), members=True)
    assert normal.dtype == uniform.dtype == np.float32
    assert abs(normal.mean()) < 0.03 and abs(normal.std() - 1) < 0.03
    assert abs(uniform.mean() - 0.5) < 0.01 and uniform.min() >= 0 and uniform.max() < 1
    assert abs(np.corrcoef(normal[0])[np.triu_indices(50, 1)]).max() < 0.25


def test_samples_without_coordinates_are_told_apart_by_their_values() -> None:
    data = xr.Dataset({"a": (("sample", "x"), [[1.0, 2.0], [1.0, 3.0], [1.0, 2.0]])})
    first, second, third = Draw.of(data, seed=0).ids
    assert first == third != second


def test_texts_are_coordinates_too() -> None:
    data = xr.Dataset({"a": ("sample", [1.0, 1.0])}, {"station": ("sample", np.array(["x", "yy"], dtype=object))})
    both = Draw.of(data, seed=0).ids
    assert both[0] != both[1]
    alone = data.isel(sample=[0]).assign_coords(station=("sample", ["x"]))
    assert Draw.of(alone, seed=0).ids == both[:1]


def test_no_global_generator_is_touched() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    Draw(0, ("a",)).normal("n", (10,))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_no_member_is_refused() -> None:
    with pytest.raises(OptionError, match="0 members"):
        Draw.of(batch([0]), seed=0, members=0)
