"""Cross-attention to memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg_earthformer.cross_attention import CuboidCrossAttention
from thalweg_earthformer.cuboids import Column
from thalweg_earthformer.self_attention import GlobalVectors

HEADS, CHANNELS = 2, 4
PADDINGS = ["zeros", "ignore", "nearest"]


def layer(column: Column, padding: str = "zeros", longest: int = 9, **options) -> CuboidCrossAttention:
    torch.manual_seed(1)
    made = CuboidCrossAttention(CHANNELS, HEADS, column=column, longest=longest, padding=padding, **options).double()
    torch.nn.init.normal_(made.relative_position_bias_table)
    return made.eval()


def test_a_pixel_sees_its_own_history_with_times_counted_from_the_first_steps():
    made = layer(Column((1, 1)))
    x, memory = (torch.randn(2, t, 2, 3, CHANNELS, dtype=torch.float64) for t in (4, 5))
    out = made(x, memory)
    heads = lambda y: y.unflatten(-1, (HEADS, -1)).transpose(-2, -3)  # noqa: E731
    for row in range(2):
        for column in range(3):
            q = heads(made.q_proj(made.norm(x[:, :, row, column])))
            k, v = (heads(each) for each in made.kv_proj(memory[:, :, row, column]).chunk(2, -1))
            offset = torch.arange(4)[:, None] - torch.arange(5) + 9 - 1
            bias = made.relative_position_bias_table[offset].permute(2, 0, 1)
            seen = torch.softmax(q @ k.transpose(-1, -2) * (CHANNELS // HEADS) ** -0.5 + bias, -1)
            wanted = made.proj((seen @ v).transpose(-2, -3).flatten(-2))
            torch.testing.assert_close(out[:, :, row, column], wanted)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
    st.builds(
        Column,
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.integers(0, 2), st.integers(0, 2)),
        st.sampled_from([("l", "l", "l"), ("d", "d", "d"), ("l", "d", "l")]),
        st.integers(1, 3),
    ),
    st.sampled_from(PADDINGS),
    st.sampled_from([None, GlobalVectors(2), GlobalVectors(2, separate=True, widening=2)]),
)
def test_any_size_and_padding_works_and_both_kernels_agree(sizes, column, padding, vectors):
    made = layer(column, padding, vectors=vectors)
    x, memory = (torch.randn(2, t, *sizes[2:], CHANNELS, dtype=torch.float64) for t in sizes[:2])
    g = torch.randn(2, 2, CHANNELS * vectors.widening, dtype=torch.float64) if vectors else None
    with torch.no_grad():
        still = made(x, memory, g)
    learning = made(x, memory, g)
    assert still.shape == x.shape
    torch.testing.assert_close(still, learning.detach(), rtol=1e-10, atol=1e-10)
    learning.sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in made.parameters())


def test_parts_of_time_without_memory_get_nothing():
    """Two steps of memory in four parts: the first two parts hold padding only, and attention to nothing is zero."""
    made = layer(Column((1, 1), cuts=4), "ignore")
    x, memory = (torch.randn(1, t, 1, 1, CHANNELS, dtype=torch.float64, requires_grad=True) for t in (4, 2))
    out = made(x, memory)
    torch.testing.assert_close(out[0, :2, 0, 0], made.proj.bias.expand(2, -1))
    out.sum().backward()
    assert torch.isfinite(memory.grad).all() and torch.isfinite(made.relative_position_bias_table.grad).all()


def test_only_the_last_steps_of_memory_are_seen():
    made = layer(Column((1, 1)), last=2)
    x, memory = (torch.randn(1, t, 1, 1, CHANNELS, dtype=torch.float64) for t in (3, 5))
    memory.requires_grad_()
    made(x, memory).sum().backward()
    assert (memory.grad[:, :3] == 0).all() and (memory.grad[:, 3:] != 0).any()


@pytest.mark.parametrize("padding", PADDINGS)
def test_ignored_spatial_padding_does_not_change_the_softmax(padding):
    """A 3 x 3 field in 2 x 2 columns: the corner column has one real cell, which then sees itself only."""
    made = layer(Column((2, 2)), padding, longest=4)
    x = torch.randn(1, 1, 3, 3, CHANNELS, dtype=torch.float64)
    memory = torch.randn(1, 1, 3, 3, CHANNELS, dtype=torch.float64)
    value = made.kv_proj(memory[0, 0, 2, 2]).chunk(2)[1]
    alone = torch.allclose(made(x, memory)[0, 0, 2, 2], made.proj(value))
    assert alone == (padding == "ignore")
