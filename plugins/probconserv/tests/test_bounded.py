"""Laws and bounds together: optimality, exactness, gradients and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from thalweg.errors import HandshakeError, RunError
from thalweg_probconserv.bounded import update_within
from thalweg_probconserv.monotone import sorted_along


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 0.99), st.booleans(), st.booleans())
def test_it_is_the_nearest_field_that_keeps_both(seed: int, share: float, signed: bool, capped: bool) -> None:
    """The KKT conditions: one multiplier per row explains every cell between its bounds, and its sign the others."""
    draw = np.random.default_rng(seed)
    mean, variance = draw.normal(0.5, 2.0, 40), draw.uniform(0.01, 2.0, 40) ** 2
    weights = draw.normal(size=40) if signed else draw.uniform(0.1, 1.0, 40)
    lower, upper = 0.0, 3.0 if capped else np.inf
    ends = [float(np.maximum(s * weights, 0).sum() * (upper if capped else 10) * s) for s in (1, -1)]
    target = np.array([ends[1] + share * (ends[0] - ends[1])])
    found = update_within(mean, variance, lower=lower, upper=upper, rows=weights[None], targets=target)
    assert abs(weights @ found - target[0]) <= 1e-11 * (abs(weights) @ abs(mean) + abs(target[0]))
    assert found.min() >= lower and found.max() <= upper
    inside = (found > lower) & (found < upper)
    slope = (mean - found) / (variance * weights)
    if inside.any():
        value = np.median(slope[inside])
        np.testing.assert_allclose(np.clip(mean - variance * weights * value, lower, upper), found, atol=1e-8)


def test_a_million_cells_keep_their_mass_and_sign() -> None:
    draw = np.random.default_rng(0)
    mean = draw.normal(size=10**6)
    found = update_within(
        mean, np.ones(10**6), lower=0.0, upper=np.inf, rows=np.ones((1, 10**6)), targets=np.array([1e5])
    )
    assert found.min() == 0.0
    assert abs(found.sum() - 1e5) < 1e-7


def test_several_integrals_on_cells_of_their_own_and_a_batch() -> None:
    draw = np.random.default_rng(1)
    rows = csr_array((np.ones(30), (np.arange(30) // 10, np.arange(30))), shape=(3, 33))
    mean, variance = draw.normal(size=(5, 33)), draw.uniform(0.1, 1.0, (5, 33))
    mean[:, 4] = np.nan
    targets = draw.uniform(0.0, 8.0, (5, 3))
    found = update_within(mean, variance, lower=0.0, upper=1.0, rows=rows, targets=targets)
    np.testing.assert_allclose(np.nan_to_num(found) @ rows.T.toarray(), targets, atol=1e-12)
    assert np.isnan(found[:, 4]).all()
    np.testing.assert_array_equal(found[:, 30:], np.clip(mean[:, 30:], 0, 1))
    for item in range(5):
        for row in range(3):
            at = slice(10 * row, 10 * row + 10)
            alone = update_within(
                mean[item, at],
                variance[item, at],
                lower=0.0,
                upper=1.0,
                rows=np.ones((1, 10)),
                targets=targets[item, [row]],
            )
            np.testing.assert_allclose(found[item, at], alone, atol=1e-11)


def test_noise_leaves_a_gap_of_its_size() -> None:
    mean, variance = np.array([1.0, 2.0, -1.0]), np.ones(3)
    found = update_within(
        mean, variance, lower=-np.inf, upper=np.inf, rows=np.ones((1, 3)), targets=np.zeros(1), noise=1.0
    )
    np.testing.assert_allclose(found, mean - 2.0 / 4.0, atol=1e-12)


def test_the_gradient_is_that_of_the_solution() -> None:
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(2)
    given_ = [draw.normal(0.3, 1.0, (2, 12)), draw.uniform(0.5, 1.0, (2, 12)), np.array([[4.0], [3.0]])]
    tensors = [torch.from_numpy(each).requires_grad_() for each in given_]
    rows = torch.from_numpy(draw.uniform(0.5, 1.0, (1, 12)))
    assert torch.autograd.gradcheck(
        lambda m, v, t: update_within(m, v, lower=0.0, upper=np.inf, rows=rows, targets=t), tensors
    )


def test_a_target_that_no_field_within_the_bounds_has_is_refused() -> None:
    mean, ones = np.ones(4), np.ones((1, 4))
    with pytest.raises(RunError) as caught:
        update_within(mean, mean, lower=0.0, upper=2.0, rows=ones, targets=np.array([9.0]))
    assert str(caught.value) == (
        "row 0 cannot be held within the bounds: the target is 9\n"
        "  allowed: from 0 to 8 there, where cells of no variance stay\n"
        "  do: widen the bounds, change the target, or give the law noise"
    )
    with pytest.raises(RunError, match="the target is -1"):
        update_within(mean, mean, lower=0.0, upper=np.inf, rows=ones, targets=np.array([-1.0]))
    with pytest.raises(RunError, match="cells of no variance stay"):
        update_within(mean, 0 * mean, lower=0.0, upper=np.inf, rows=ones, targets=np.array([5.0]))
    found = update_within(mean, mean, lower=0.0, upper=2.0, rows=ones, targets=np.array([8.0]))
    np.testing.assert_allclose(found, 2.0)
    np.testing.assert_allclose(update_within(mean, mean, lower=0.0, upper=2.0, rows=ones, targets=np.zeros(1)), 0.0)


def test_rows_that_share_cells_and_crossed_bounds_are_refused() -> None:
    mean = np.ones(4)
    with pytest.raises(HandshakeError, match="laws that share cells"):
        update_within(mean, mean, lower=0.0, upper=2.0, rows=np.ones((2, 4)), targets=np.ones(2))
    with pytest.raises(HandshakeError, match="the lower bound 3 is above the upper one, 2"):
        update_within(mean, mean, lower=3.0, upper=2.0)


def test_sorting_pools_violators_by_their_certainty() -> None:
    line = np.array([[0.0, 3.0, 1.0, np.nan, 4.0]])
    found = sorted_along(line, np.array([[1.0, 1.0, 0.5, 1.0, 1.0]]), rising=True)
    np.testing.assert_allclose(found, [[0.0, 5 / 3, 5 / 3, np.nan, 4.0]])
    np.testing.assert_allclose(sorted_along(-line, np.ones((1, 5)), rising=False), [[0.0, -2.0, -2.0, np.nan, -4.0]])
