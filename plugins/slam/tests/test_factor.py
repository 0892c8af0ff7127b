"""Order, structure, factor and conjugate gradients, against dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from thalweg_slam.posegraph.conjugate import conjugate_gradients
from thalweg_slam.posegraph.factor import STORED, Matrix, converted, flat
from thalweg_slam.posegraph.lanes import PAD
from thalweg_slam.posegraph.symbolic import Symbolic, analyse, places

Array = np.ndarray[Any, np.dtype[Any]]


def edges(count: int, extra: int) -> Array:
    draw = np.random.default_rng(0)
    chain = np.stack([np.arange(count - 1), np.arange(1, count)], 1)
    return np.concatenate([chain, draw.integers(0, count, (extra, 2)), chain[:3]])


def system(size: int, kind: str = "fp64") -> tuple[Symbolic, Array, Array, Array, Array]:
    """Symbolic, ranked edges, Jacobian blocks, dense J, and which pose is fixed, of a scaled problem."""
    count, draw = 40, np.random.default_rng(1)
    joined = edges(count, 50)
    symbolic = analyse(count, joined)
    ranked = symbolic.rank[joined].astype(np.int32)
    fixed = np.arange(count) == symbolic.rank[0]
    blocks = draw.normal(size=(len(ranked), 2, size, size))
    blocks[ranked[:, 0] == ranked[:, 1], 0] = 0
    blocks[fixed[ranked]] = 0
    dense = np.zeros((len(ranked) * size, count * size))
    for e, (i, j) in enumerate(ranked):
        dense[e * size : (e + 1) * size, i * size : (i + 1) * size] += blocks[e, 0]
        dense[e * size : (e + 1) * size, j * size : (j + 1) * size] += blocks[e, 1]
    scale = 1 / np.sqrt(np.maximum((dense**2).sum(0), 1e-300))
    scale[(dense**2).sum(0) == 0] = 1
    blocks *= scale.reshape(count, size)[ranked][:, :, None]
    dense *= scale
    jacobian = flat(2 * len(ranked), size**2, STORED[kind])
    jacobian[:-PAD] = blocks.reshape(-1)
    return symbolic, ranked, jacobian, dense, fixed


def matrix(size: int, kind: str, rounded: str | None = None) -> tuple[Matrix, Array]:
    symbolic, ranked, jacobian, dense, fixed = system(size, kind)
    found = Matrix.empty(symbolic, size, kind)
    found.assemble(jacobian, ends=ranked, places=places(symbolic, ranked), idle=fixed)
    column, least = found.factorise(rounded=rounded)
    assert column == -1 and 0 < least <= 1 + 1e-6
    return found, dense.T @ dense + np.diag(np.repeat(fixed, size).astype(float))


def solved(solver: Any, right: Array, kind: str) -> Array:
    count, size = right.shape
    padded = np.zeros((count, 4 if size == 3 else 8), STORED[kind])
    padded[:, :size] = right
    vector = padded.reshape(-1)
    solver.solve(vector)
    return np.asarray(vector.reshape(padded.shape)[:, :size], np.float64)


def test_minimum_degree_orders_a_chain_without_fill() -> None:
    count = 300
    found = analyse(count, edges(count, 0))
    assert sorted(found.order) == list(range(count))
    assert found.blocks == count - 1


def test_order_of_a_grid_fills_little() -> None:
    side = 30
    n = np.arange(side * side).reshape(side, side)
    joined = np.concatenate(
        [np.stack([n[:-1].ravel(), n[1:].ravel()], 1), np.stack([n[:, :-1].ravel(), n[:, 1:].ravel()], 1)]
    )
    # By rows the factor has about side^3 = 27000 blocks.
    assert analyse(side * side, joined).blocks < 10_000


@pytest.mark.parametrize("size", [3, 6])
@pytest.mark.parametrize(("kind", "close"), [("fp64", 1e-11), ("fp32", 2e-3)])
def test_solve_inverts(size: int, kind: str, close: float) -> None:
    found, dense = matrix(size, kind)
    right = np.random.default_rng(2).normal(size=(40, size))
    got = solved(found, right, kind)
    exact = np.linalg.solve(dense, right.reshape(-1)).reshape(right.shape)
    np.testing.assert_allclose(got, exact, atol=close * np.abs(exact).max())
    # Packed for solving, the numbers are the same.
    np.testing.assert_allclose(
        solved(found.packed(kind, kind), right, kind), got, rtol=1e-5 if kind == "fp32" else 1e-12
    )


@pytest.mark.parametrize("stored", ["fp16", "bf16"])
def test_half_precision_is_read_as_it_was_rounded(stored: str) -> None:
    found, _ = matrix(6, "fp32")
    values = found.packed("fp32", "fp32").lower
    half = found.packed(stored, "fp32").lower
    if stored == "fp16":
        expected = values.astype(np.float16)
        np.testing.assert_array_equal(half[:-PAD].view(np.float16), expected[:-PAD])
        read = expected.astype(np.float32)
    else:
        read = (half.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_allclose(read[:-PAD], values[:-PAD], rtol=2**-8)
    wide = found.packed("fp32", "fp32")
    wide.lower[:] = read
    right = np.random.default_rng(2).normal(size=(40, 6))
    np.testing.assert_allclose(
        solved(found.packed(stored, "fp32"), right, "fp32"), solved(wide, right, "fp32"), rtol=2e-4, atol=1e-3
    )


def test_a_failing_pivot_is_named() -> None:
    symbolic, ranked, jacobian, _, fixed = system(3)
    found = Matrix.empty(symbolic, 3, "fp64")
    found.assemble(jacobian, ends=ranked, places=places(symbolic, ranked), idle=np.zeros_like(fixed))
    column, _ = found.factorise()
    assert column == np.flatnonzero(fixed)[0]


@pytest.mark.parametrize(
    ("product", "solve", "close"), [("fp64", "fp64", 1e-8), ("fp32", "fp16", 1e-2), ("fp16", "bf16", 1e-1)]
)
def test_conjugate_gradients_solve_the_damped_equations(product: str, solve: str, close: float) -> None:
    size, damping = 6, 1e-3
    vectors = "fp64" if product == "fp64" else "fp32"
    _, ranked, jacobian, dense, fixed = system(size, vectors)
    found, _ = matrix(size, vectors)
    if product == "fp16":
        jacobian = converted(jacobian, "fp16", size)
    right = np.random.default_rng(3).normal(size=(40, size))
    right[fixed] = 0
    padded = np.zeros((40, 8), STORED[vectors])
    padded[:, :size] = right
    x, count, gain = conjugate_gradients(
        jacobian,
        padded.reshape(-1),
        ends=ranked,
        factor=found.packed(solve, vectors),
        damping=damping,
        forcing=0.0,
        limit=200,
        tolerance=1e-12 if vectors == "fp64" else 1e-4,
        negligible=0.0,
    )
    exact = np.linalg.solve(dense.T @ dense + damping * np.eye(dense.shape[1]), right.reshape(-1))
    got = x.reshape(40, 8)[:, :size].reshape(-1)
    assert 0 < count < 100
    np.testing.assert_allclose(got, exact, atol=close * np.abs(exact).max())
    if vectors == "fp64":
        assert gain == pytest.approx(0.5 * right.reshape(-1) @ exact, rel=1e-6)
