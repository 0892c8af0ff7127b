"""Self-attention against its definition, cell by cell."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg_earthformer.cuboids import Cuboid
from thalweg_earthformer.plans import plan
from thalweg_earthformer.self_attention import CuboidSelfAttention, GlobalVectors

HEADS, CHANNELS = 2, 4


def layer(cuboid: Cuboid, padding: str, **options) -> CuboidSelfAttention:
    torch.manual_seed(1)
    made = CuboidSelfAttention(CHANNELS, HEADS, cuboid=cuboid, padding=padding, **options).double().eval()
    torch.nn.init.normal_(made.relative_position_bias_table)
    return made


def by_definition(made: CuboidSelfAttention, x: torch.Tensor, g: torch.Tensor | None):
    """Attention of every padded cell to all padded cells, with those hidden that it may not see. One sample."""
    shape, cuboid = tuple(x.shape[1:4]), made.cuboid.within(tuple(x.shape[1:4]))
    grid = [-(-n // b) * b for n, b in zip(shape, cuboid.size, strict=True)]
    cells = list(product(*map(range, grid)))
    normal = made.norm(x)[0]
    tokens, real = [], []
    for cell in cells:
        real.append(all(i < n for i, n in zip(cell, shape, strict=True)))
        source = (
            tuple(i * n // p for i, n, p in zip(cell, shape, grid, strict=True)) if made.padding == "nearest" else cell
        )
        there = made.padding == "nearest" or real[-1]
        tokens.append(normal[source] if there else torch.zeros(CHANNELS, dtype=x.dtype))
    tokens = torch.stack(tokens)

    def place(cell):
        block, inside, wrapped = [], [], []
        for i, (at, n, b, s) in enumerate(zip(cell, grid, cuboid.size, cuboid.shift, strict=True)):
            rolled = (at - s) % n
            wrapped.append(at < s)
            local = cuboid.strategy[i] == "l"
            block.append(rolled // b if local else rolled % (n // b))
            inside.append(rolled % b if local else rolled // (n // b))
        return tuple(block), tuple(inside), tuple(wrapped)

    places = [place(cell) for cell in cells]
    bias = torch.full((HEADS, len(cells), len(cells)), -torch.inf, dtype=x.dtype)
    reach = made.cuboid.size
    for i, (block, inside, wrapped) in enumerate(places):
        for j, (other, at, over) in enumerate(places):
            if block == other and wrapped == over and not (made.padding == "ignore" and not real[j] and real[i]):
                row = 0
                for a, b, size in zip(inside, at, reach, strict=True):
                    row = row * (2 * size - 1) + a - b + size - 1
                bias[:, i, j] = made.relative_position_bias_table[row]
    q, k, v = (each.unflatten(-1, (HEADS, -1)).transpose(0, 1) for each in made.qkv(tokens).chunk(3, -1))
    scale = (CHANNELS // HEADS) ** -0.5
    scores = q @ k.transpose(1, 2) * scale + bias
    heads = lambda y: y.unflatten(-1, (HEADS, -1)).transpose(0, 1)  # noqa: E731
    update = None
    if g is not None:
        g = made.global_vec_norm(g)[0]
        if made.vectors.separate:
            lq, (gk, gv) = heads(made.l2g_q_net(tokens)), map(heads, made.l2g_global_kv_net(g).chunk(2, -1))
            gq, lk, lv = heads(made.g2l_global_q_net(g)), heads(made.g2l_k_net(tokens)), heads(made.g2l_v_net(tokens))
            q2, k2, v2 = map(heads, made.g2g_global_qkv_net(g).chunk(3, -1))
        else:
            q2, k2, v2 = gq, gk, gv = [heads(each) for each in made.global_qkv(g).chunk(3, -1)]
            lq, lk, lv = q, k, v
        scores = torch.cat([scores, lq @ gk.transpose(1, 2) * scale], -1)
        v = torch.cat([v, gv], 1)
        seen = gq @ lk.transpose(1, 2) * scale
        if made.padding == "ignore":
            seen = seen.masked_fill(~torch.tensor(real), -torch.inf)
        among = torch.softmax(torch.cat([seen, q2 @ k2.transpose(1, 2) * scale], -1), -1)
        update = made.global_proj((among @ torch.cat([lv, v2], 1)).transpose(0, 1).flatten(1))[None]
    out = made.proj((torch.softmax(scores, -1) @ v).transpose(0, 1).flatten(1)).unflatten(0, grid)
    if made.padding == "nearest":
        for axis, (n, p) in enumerate(zip(shape, grid, strict=True)):
            out = out.index_select(axis, torch.arange(n).mul(p).add(n - 1) // n)
    return out[: shape[0], : shape[1], : shape[2]][None], update


VECTORS = [None, GlobalVectors(3, among=True), GlobalVectors(3, among=True, separate=True, widening=2)]
CASES = [
    ((3, 4, 5), Cuboid((3, 1, 1))),
    ((3, 5, 4), Cuboid((2, 2, 3))),
    ((4, 5, 4), Cuboid((2, 2, 2), (1, 1, 1))),
    ((2, 5, 7), Cuboid((1, 3, 3), (0, 1, 2))),
    ((3, 5, 4), Cuboid((2, 2, 2), strategy=("d", "d", "d"))),
    ((2, 3, 4), Cuboid((3, 4, 5), (1, 2, 2))),
]


@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("vectors", VECTORS, ids=["none", "shared", "separate"])
@pytest.mark.parametrize("padding", ["zeros", "ignore", "nearest"])
@pytest.mark.parametrize(("shape", "cuboid"), CASES)
def test_attention_is_its_definition(shape, cuboid, padding, vectors, learning):
    made = layer(cuboid, padding, vectors=vectors)
    torch.manual_seed(0)
    x = torch.randn(2, *shape, CHANNELS, dtype=torch.float64)
    g = torch.randn(2, 3, CHANNELS * vectors.widening, dtype=torch.float64) if vectors else None
    with torch.set_grad_enabled(learning):
        out, update = made(x, g)
    for sample in range(2):
        part = slice(sample, sample + 1)
        wanted, wanted_update = by_definition(made, x[part], None if g is None else g[part])
        torch.testing.assert_close(out[part].detach(), wanted.detach(), rtol=1e-9, atol=1e-9)
        if g is not None:
            torch.testing.assert_close(update[part].detach(), wanted_update.detach(), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(*[st.integers(1, 6)] * 3),
    st.builds(
        Cuboid,
        st.tuples(*[st.integers(1, 4)] * 3),
        st.tuples(*[st.integers(0, 3)] * 3),
        st.tuples(*[st.sampled_from("ld")] * 3),
    ),
    st.sampled_from(["zeros", "ignore", "nearest"]),
    st.sampled_from(VECTORS),
)
def test_fused_and_lean_attention_agree_at_any_size(shape, cuboid, padding, vectors):
    made = layer(cuboid, padding, vectors=vectors)
    x = torch.randn(2, *shape, CHANNELS, dtype=torch.float64)
    g = torch.randn(2, 3, CHANNELS * vectors.widening, dtype=torch.float64) if vectors else None
    with torch.no_grad():
        still = made(x, g)
    learning = made(x, g)
    assert still[0].shape == x.shape
    torch.testing.assert_close(still[0], learning[0].detach(), rtol=1e-10, atol=1e-10)
    learning[0].sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in made.parameters() if each.grad is not None)


@pytest.mark.parametrize("vectors", VECTORS[1:], ids=["shared", "separate"])
@pytest.mark.parametrize("size", [(2, 2, 2), (1, 2, 4)])
def test_ignored_padding_influences_nothing(vectors, size):
    """The gradient of what real cells and vectors get, with respect to what lies in the padding, is zero."""
    made = layer(Cuboid(size, (0, 1, 1)), "ignore", vectors=vectors)
    shape, grown = (3, 3, 3), (4, 4, 4)
    x = torch.randn(1, *shape, CHANNELS, dtype=torch.float64)
    g = torch.randn(1, 3, CHANNELS * vectors.widening, dtype=torch.float64)
    inserted = torch.zeros(1, *grown, HEADS, CHANNELS // HEADS, dtype=torch.float64, requires_grad=True)
    from thalweg_earthformer.cuboids import Plan

    plain = Plan.pad

    def disturbed(self, y):
        padded = plain(self, y)
        return padded + inserted[:, : padded.shape[1], : padded.shape[2], : padded.shape[3]] if padded is not y else y

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "pad", disturbed)
        out, update = made(x, g)
    (out.square().sum() + update.square().sum()).backward()
    assert inserted.grad is not None and inserted.grad.abs().sum() > 0
    padding = inserted.grad.clone()
    padding[:, : shape[0], : shape[1], : shape[2]] = 0
    assert padding.abs().max() == 0


def test_zero_padding_takes_part():
    made = layer(Cuboid((2, 1, 1)), "zeros", attention_dropout=0.0)
    x = torch.randn(1, 3, 1, 1, CHANNELS, dtype=torch.float64)
    alone, _ = made(x)
    with torch.no_grad():
        ignored = layer(Cuboid((2, 1, 1)), "ignore")
        ignored.load_state_dict(made.state_dict())
        other, _ = ignored(x)
    torch.testing.assert_close(alone[:, :2], other[:, :2])
    assert not torch.allclose(alone[:, 2], other[:, 2])


def test_the_vectors_of_a_layer_that_updates_none_are_left_alone():
    made = layer(Cuboid((2, 2, 2)), "zeros", vectors=VECTORS[2], updated=False)
    x = torch.randn(1, 2, 2, 2, CHANNELS, dtype=torch.float64)
    out, update = made(x, torch.randn(1, 3, 2 * CHANNELS, dtype=torch.float64))
    out.sum().backward()
    assert update is None
    unused = {id(each) for each in made.unused_parameters()}
    assert all((each.grad is None) == (id(each) in unused) for each in made.parameters())


def test_offsets_beyond_the_table_take_its_last():
    made = layer(Cuboid((3, 1, 1)), "zeros")
    x = torch.randn(1, 5, 1, 1, CHANNELS, dtype=torch.float64)
    wide = layer(Cuboid((5, 1, 1)), "zeros")
    state = made.state_dict()
    table = state.pop("relative_position_bias_table")
    wide.load_state_dict(state | {"relative_position_bias_table": table[np.clip(np.arange(-4, 5), -2, 2) + 2]})
    layout = plan((5, 1, 1), Cuboid((5, 1, 1)), "zeros")
    torch.testing.assert_close(made(x, layout=layout)[0], wide(x)[0])


def test_gradients_are_right():
    made = layer(Cuboid((2, 2, 1), (0, 1, 0)), "ignore", vectors=GlobalVectors(2, among=True, separate=True))
    x = torch.randn(1, 2, 3, 1, CHANNELS, dtype=torch.float64, requires_grad=True)
    g = torch.randn(1, 2, CHANNELS, dtype=torch.float64, requires_grad=True)
    parameters = dict(made.named_parameters())

    def call(x, g, *values):
        return torch.func.functional_call(made, dict(zip(parameters, values, strict=True)), (x, g))

    assert torch.autograd.gradcheck(call, (x, g, *parameters.values()))
