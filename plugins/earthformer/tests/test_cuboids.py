"""Cutting fields into cuboids."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from thalweg.errors import OptionError, UnknownNameError
from thalweg_earthformer.cuboids import Column, Cuboid
from thalweg_earthformer.patterns import cross_columns, self_cuboids
from thalweg_earthformer.plans import allowed, plan, plans

SIZES = st.integers(1, 7)
SHAPES = st.tuples(SIZES, SIZES, SIZES)
CUBOIDS = st.builds(
    Cuboid,
    st.tuples(*[st.integers(1, 5)] * 3),
    st.tuples(*[st.integers(0, 4)] * 3),
    st.tuples(*[st.sampled_from("ld")] * 3),
)
PADDINGS = st.sampled_from(["zeros", "ignore", "nearest"])


@given(SHAPES, CUBOIDS, PADDINGS)
def test_merging_undoes_cutting(shape, cuboid, padding):
    layout = plan(shape, cuboid, padding)
    x = torch.randn(2, *shape, 2, 3)
    cut = layout.cut(layout.pad(x))
    assert cut.shape[2] == np.prod(layout.cuboid.size)
    assert torch.equal(layout.unpad(layout.merge(cut, 2)), x)


@given(SHAPES, CUBOIDS)
def test_every_cell_is_in_one_cuboid(shape, cuboid):
    layout = plan(shape, cuboid, "zeros")
    numbers = np.arange(np.prod(layout.padded)).reshape(layout.padded)
    assert sorted(layout.numbered(numbers).ravel()) == list(range(numbers.size))
    assert layout.real().sum() == np.prod(shape)


@given(SHAPES, CUBOIDS, PADDINGS)
def test_cutting_and_numbering_agree(shape, cuboid, padding):
    layout = plan(shape, cuboid, padding)
    numbers = np.arange(np.prod(layout.padded)).reshape(layout.padded)
    rolled = np.roll(numbers, [-s for s in layout.cuboid.shift], (0, 1, 2))
    cut = layout.cut(torch.from_numpy(numbers)[None, ..., None, None]).reshape(-1, layout.length)
    assert np.array_equal(cut.numpy(), layout.numbered(rolled))


def test_local_holds_neighbours_and_dilated_every_other():
    line = torch.arange(6.0).reshape(1, 1, 1, 6, 1, 1)
    local = plan((1, 1, 6), Cuboid((1, 1, 3)), "zeros").cut(line).reshape(-1, 3)
    dilated = plan((1, 1, 6), Cuboid((1, 1, 3), strategy=("d", "d", "d")), "zeros").cut(line).reshape(-1, 3)
    assert local.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert dilated.tolist() == [[0, 2, 4], [1, 3, 5]]


@given(SHAPES, CUBOIDS)
def test_ignored_padding_is_seen_by_no_real_cell_and_every_cell_sees_something(shape, cuboid):
    layout = plan(shape, cuboid, "ignore")
    mask = allowed(layout, layout)
    if mask is None:
        assert layout.padded == layout.shape
        return
    real = layout.real()
    assert mask.any(-1).all()
    assert not (mask & real[:, :, None] & ~real[:, None, :]).any()
    assert mask[:, np.arange(layout.length), np.arange(layout.length)][real].all()


def test_a_mask_is_made_only_where_something_is_hidden():
    for size in product((2, 4), repeat=3):
        assert allowed(*[plan((4, 4, 4), Cuboid(size), "ignore")] * 2) is None
    assert allowed(*[plan((4, 4, 4), Cuboid((2, 2, 2), (0, 1, 0)), "zeros")] * 2) is not None
    assert allowed(*[plan((4, 5, 4), Cuboid((2, 2, 2)), "zeros")] * 2) is None


@pytest.mark.parametrize("shape", [(5, 6, 7), (13, 4, 4)])
@pytest.mark.parametrize("pattern", ["axial", "divided_st", "full"])
def test_axial_cuts_are_views(shape, pattern):
    x = torch.randn(2, *shape, 2, 3)
    for cuboid in self_cuboids(pattern, shape):
        layout = plan(shape, cuboid, "zeros")
        assert layout.cut(layout.pad(x)).data_ptr() == x.data_ptr()
        # What the fused kernel gives lies in memory as (rows, length, groups, depth), and goes back without a copy too.
        out = torch.randn_like(layout.cut(x).transpose(1, 2).contiguous()).transpose(1, 2)
        assert layout.merge(out, 2).data_ptr() == out.data_ptr()


@given(SHAPES, st.integers(1, 4), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.integers(1, 4), PADDINGS)
def test_queries_and_keys_meet_in_as_many_columns(shape, time, block, cuts, padding):
    queries, keys = plans(shape, (time, *shape[1:]), column=Column(block, (1, 0), cuts=cuts), padding=padding)
    x, memory = torch.randn(2, *shape, 1, 1), torch.randn(2, time, *shape[1:], 1, 1)
    cut = [layout.cut(layout.pad(each)) for layout, each in ((queries, x), (keys, memory))]
    assert cut[0].shape[:2] == cut[1].shape[:2]
    assert torch.equal(keys.unpad(keys.merge(cut[1], 2)), memory)


PATTERNS = {
    "full": [((4, 8, 6), "lll", (0, 0, 0))],
    "axial": [((4, 1, 1), "lll", (0, 0, 0)), ((1, 8, 1), "lll", (0, 0, 0)), ((1, 1, 6), "lll", (0, 0, 0))],
    "divided_st": [((4, 1, 1), "lll", (0, 0, 0)), ((1, 8, 6), "lll", (0, 0, 0))],
    "video_swin": [((2, 4, 4), "lll", (0, 0, 0)), ((2, 4, 4), "lll", (1, 2, 2))],
    "video_swin_1x2": [((1, 2, 2), "lll", (0, 0, 0)), ((1, 2, 2), "lll", (0, 1, 1))],
    "spatial_lg_v1": [((4, 1, 1), "lll", (0, 0, 0)), ((1, 4, 4), "lll", (0, 0, 0)), ((1, 4, 4), "ddd", (0, 0, 0))],
    "spatial_lg_2": [((4, 1, 1), "lll", (0, 0, 0)), ((1, 2, 2), "lll", (0, 0, 0)), ((1, 2, 2), "ddd", (0, 0, 0))],
    "axial_space_dilate_2": [
        ((4, 1, 1), "lll", (0, 0, 0)),
        ((1, 4, 1), "ddd", (0, 0, 0)),
        ((1, 4, 1), "lll", (0, 0, 0)),
        ((1, 1, 3), "ddd", (0, 0, 0)),
        ((1, 1, 3), "lll", (0, 0, 0)),
    ],
}


@pytest.mark.parametrize(("name", "wanted"), PATTERNS.items())
def test_patterns_of_self_attention(name, wanted):
    found = self_cuboids(name, (4, 8, 6))
    assert [(each.size, "".join(each.strategy), each.shift) for each in found] == wanted


def test_patterns_of_cross_attention():
    assert cross_columns("cross_1x1") == (Column((1, 1)),)
    dilated = Column((4, 4), strategy=("d", "d", "d"))
    assert cross_columns("cross_4x4_lg") == (Column((4, 4)), dilated)
    assert cross_columns("cross_4x4_heter") == (Column((4, 4)), dilated, Column((4, 4), (2, 2)))


@pytest.mark.parametrize("name", ["diagonal", "video_swin_2", "spatial_lg", "axial_space_dilate", "axial_0"])
def test_an_unknown_pattern_is_refused(name):
    with pytest.raises(UnknownNameError, match=f"no pattern of self-attention is called '{name}'"):
        self_cuboids(name, (4, 4, 4))


def test_an_unknown_column_is_refused():
    with pytest.raises(UnknownNameError, match="no pattern of cross-attention is called 'cross_2x3'"):
        cross_columns("cross_2x3")


def test_an_impossible_cuboid_is_refused():
    with pytest.raises(OptionError, match="sizes of at least 1"):
        Cuboid((0, 1, 1))
