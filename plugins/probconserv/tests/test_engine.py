"""Conditioning against dense algebra, published arrays, and what must not change it."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import EstimateError, HandshakeError
from thalweg.errors import RunError
from thalweg_probconserv import condition
from thalweg_probconserv.engine import update

SHARED = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
REFERENCE = SHARED / "reference" / "probconserv" / "probconserv.npz"

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def case(seed: int = 0, *, cells: int = 30, rows: int = 3, batch: tuple[int, ...] = ()) -> Case:
    draw = np.random.default_rng(seed)
    mean = draw.normal(5.0, 2.0, (*batch, cells))
    variance = draw.uniform(0.0, 1.0, (*batch, cells)) ** 3
    return mean, variance, draw.normal(size=(rows, cells)), draw.normal(size=(*batch, rows))


def dense(mean: np.ndarray, variance: np.ndarray, rows: np.ndarray, targets: np.ndarray, noise: float) -> Case:
    prior = np.diag(variance)
    gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + noise * np.eye(len(rows)))
    return mean - gain @ (rows @ mean - targets), np.diag(prior - gain @ rows @ prior)


def gap(mean: np.ndarray, rows: np.ndarray, targets: np.ndarray) -> float:
    """The largest residual, relative to `sum |g mu|`."""
    return float((abs(mean @ rows.T - targets) / (abs(mean) @ abs(rows).T)).max())


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_it_is_the_dense_update(noise: float) -> None:
    mean, variance, rows, targets = case()
    expected = dense(mean, variance, rows, targets, noise)
    found = condition(mean, variance, rows, targets, noise=noise)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(-6, 6))
def test_without_noise_the_laws_hold_and_no_variance_grows(seed: int, rows: int, size: float) -> None:
    mean, variance, matrix, targets = case(seed, rows=rows, batch=(2, 3))
    found = condition(mean, variance * 10.0**size, matrix, targets)
    assert gap(found[0], matrix, targets) < 1e-12
    assert (found[1] >= 0).all()
    assert (found[1] <= variance * 10.0**size).all()


def test_each_item_of_a_batch_is_solved_by_itself() -> None:
    mean, variance, rows, targets = case(batch=(4,))
    together = condition(mean, variance, rows, targets)
    for item in range(4):
        alone = condition(mean[item], variance[item], rows, targets[item])
        np.testing.assert_allclose(together[0][item], alone[0], rtol=1e-13)


def test_the_scale_and_the_order_of_rows_and_the_scale_of_variance_do_not_matter() -> None:
    mean, variance, rows, targets = case()
    expected = condition(mean, variance, rows, targets)
    scale, order = np.array([1e-9, -3.0, 1e7]), [2, 0, 1]
    found = condition(mean, 1e5 * variance, (scale[:, None] * rows)[order], (scale * targets)[order])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-10)
    np.testing.assert_allclose(found[1] / 1e5, expected[1], atol=1e-12)


def test_laws_one_after_the_other_break_the_earlier() -> None:
    mean, variance, rows, targets = case()
    joint, _ = condition(mean, variance, rows, targets)
    apart = mean, variance
    for row in range(3):
        apart = condition(*apart, rows[[row]], targets[[row]])
    assert gap(joint, rows, targets) < 1e-13
    assert gap(apart[0], rows[[2]], targets[[2]]) < 1e-13
    assert gap(apart[0], rows[[0]], targets[[0]]) > 1e-3


def test_a_boundary_value_is_overwritten_and_moves_nothing_else() -> None:
    mean, variance, _, _ = case()
    found = condition(mean, variance + 0.1, np.eye(30)[[0]], np.array([7.0]))
    assert found[0][0] == pytest.approx(7.0, abs=1e-14)
    assert found[1][0] == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_array_equal(found[0][1:], mean[1:])


def test_missing_cells_weigh_nothing_and_stay() -> None:
    mean, variance, rows, targets = case(batch=(2,))
    mean[:, 4] = np.nan
    mean[1, 9] = np.nan
    variance[:, 4] = np.nan
    found = condition(mean, variance, rows, targets)
    for item in range(2):
        there = ~np.isnan(mean[item])
        expected = condition(mean[item, there], variance[item, there], rows[:, there], targets[item])
        np.testing.assert_allclose(found[0][item, there], expected[0], rtol=1e-12)
        np.testing.assert_array_equal(found[0][item, ~there], mean[item, ~there])
        np.testing.assert_array_equal(found[1][item, ~there], variance[item, ~there])


def test_rows_that_follow_from_the_others_are_dropped_and_said() -> None:
    mean, variance, rows, targets = case()
    more = np.vstack([rows, 2 * rows[0] - rows[1]])
    values = np.append(targets, 2 * targets[0] - targets[1])
    expected = condition(mean, variance, rows, targets)
    with pytest.warns(UserWarning, match="follow from the others and were dropped"):
        found = condition(mean, variance, more, values)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-12)
    dropped = update(mean, variance, rows=more, targets=values).dropped
    assert len(dropped) == 1 and dropped[0] != 2


def test_rows_that_contradict_each_other_are_refused() -> None:
    mean, variance, rows, targets = case()
    with pytest.raises(RunError) as caught:
        condition(mean, variance, np.vstack([rows, rows[:1]]), np.append(targets, targets[0] + 0.1))
    assert str(caught.value) == (
        "the laws contradict each other: row 3 would follow from the others, its target not\n"
        "  allowed: targets of dependent rows that agree to 1e-06 of sum |g x| + |b|\n"
        "  do: leave one of the laws out, or give them noise"
    )
    held, _ = condition(mean, variance, np.vstack([rows, rows[:1]]), np.append(targets, targets[0] + 0.1), noise=1e-4)
    assert np.isfinite(held).all()


def test_a_row_that_nothing_can_move_is_refused() -> None:
    mean, variance, rows, targets = case()
    rows[1, 5:] = 0.0
    variance[:5] = 0.0
    with pytest.raises(RunError, match="row 1 cannot be held: no cell that it weighs has any variance"):
        condition(mean, variance, rows, targets)
    with pytest.raises(RunError, match="rows 0, 1, 2 cannot be held"):
        condition(np.full(30, np.nan), variance, rows, targets)


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf])
def test_a_variance_that_is_none_is_refused(value: float) -> None:
    mean, variance, rows, targets = case()
    variance[3] = value
    with pytest.raises(EstimateError, match=f"the variance is {value!r} at 1 of 30 cells"):
        condition(mean, variance, rows, targets)


def test_shapes_that_do_not_fit_are_refused() -> None:
    mean, variance, rows, targets = case()
    with pytest.raises(HandshakeError, match=r"rows \(3, 30\), targets \(2,\) do not fit"):
        condition(mean, variance, rows, targets[:2])
    with pytest.raises(HandshakeError, match="do not fit"):
        condition(mean, variance[:-1], rows, targets)
    with pytest.raises(HandshakeError, match=r"noise -1\.0 is no variance"):
        condition(mean, variance, rows, targets, noise=-1.0)


def test_tensors_give_tensors() -> None:
    torch = pytest.importorskip("torch")
    mean, variance, rows, targets = case(batch=(2,))
    expected = condition(mean, variance, rows, targets)
    given = [torch.from_numpy(each).to(torch.float32) for each in (mean, variance, rows, targets)]
    found = condition(*given)
    assert all(each.dtype == torch.float32 for each in found)
    np.testing.assert_allclose(found[0].numpy(), expected[0], rtol=1e-4, atol=1e-5)


def test_nothing_of_size_n_by_n_is_made() -> None:
    cells = 200_000
    mean, variance = np.ones(cells), np.ones(cells)
    tracemalloc.start()
    found = condition(mean, variance, np.full((1, cells), 1 / cells), np.zeros(1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert abs(found[0]).max() < 1e-12
    assert peak < 12 * mean.nbytes


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"no {REFERENCE.name} beside the repository")
@pytest.mark.parametrize(("mode", "noise"), [("limit", 0.0), ("p1e2", 1e-2), ("hardc", 0.0)])
def test_it_gives_the_published_arrays(mode: str, noise: float) -> None:
    with np.load(REFERENCE) as reference:
        mean, deviation = reference["A_mu"], reference["A_sd"]
        rows, targets = reference["A_w"][..., None, :], reference["A_b"][..., None]
        expected, covariance = reference[f"A_{mode}_mu"], reference[f"A_{mode}_cov"]
    variance = np.ones_like(mean) if mode == "hardc" else deviation.astype("float64") ** 2
    found = condition(mean.astype("float64"), variance, rows, targets, noise=noise)
    np.testing.assert_allclose(found[0], expected, atol=2e-6)
    if mode != "hardc":
        np.testing.assert_allclose(found[1], np.diagonal(covariance, axis1=-2, axis2=-1), atol=2e-6)
