"""Moments, derivatives and the physical cell of PhyDNet."""

from __future__ import annotations

from math import factorial

import pytest
import torch
from thalweg_spatiotemporal.networks.phydnet import PhyDNet, PhysicalCell, filters_of, moment_matrix, moments
from torch.nn import functional


def derivatives(size: int) -> torch.Tensor:
    """The exact filters of all derivatives, `(order in y * size + order in x, size, size)`."""
    return filters_of(torch.eye(size**2, dtype=torch.float64).unflatten(1, (size, size)))


@pytest.mark.parametrize("size", [3, 5, 7])
def test_filters_and_moments_are_each_others_inverse(size: int) -> None:
    torch.manual_seed(0)
    filters = torch.randn(4, size, size, dtype=torch.float64)
    torch.testing.assert_close(filters_of(moments(filters)), filters, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(moments(filters_of(filters)), filters, rtol=1e-9, atol=1e-9)


def test_the_moment_matrix_of_three() -> None:
    assert moment_matrix(3).tolist() == [[1, 1, 1], [-1, 0, 1], [0.5, 0, 0.5]]


def test_known_stencils() -> None:
    found = derivatives(7)
    first = torch.tensor([-1 / 60, 3 / 20, -3 / 4, 0, 3 / 4, -3 / 20, 1 / 60], dtype=torch.float64)
    second = torch.tensor([1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90], dtype=torch.float64)
    torch.testing.assert_close(found[1, 3], first, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[2, 3], second, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[2 * 7, :, 3], second, rtol=0, atol=1e-12)
    assert found[1].abs().sum() == pytest.approx(float(first.abs().sum()), rel=1e-9)


@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 1), (1, 0), (2, 1), (3, 3), (0, 6)])
def test_exact_filters_differentiate_polynomials(i: int, j: int) -> None:
    """Correlated with y^a x^b, the filter of (i, j) gives its derivative at the centre: i! j! where a, b = i, j."""
    kernel = derivatives(7)[7 * i + j][None, None]
    axis = torch.arange(-3, 4, dtype=torch.float64)
    for a in range(7):
        for b in range(7):
            field = (axis[:, None] ** a * axis**b)[None, None]
            wanted = factorial(i) * factorial(j) if (a, b) == (i, j) else 0
            assert float(functional.conv2d(field, kernel)) == pytest.approx(wanted, abs=1e-8 * factorial(6))


def test_the_moment_loss_is_zero_for_derivatives_only() -> None:
    cell = PhysicalCell(3, kernel=5).double()
    with torch.no_grad():
        cell.derivatives.weight.copy_(derivatives(5)[:, None].expand(-1, 3, -1, -1))
    assert cell.moment_loss().item() == pytest.approx(0, abs=1e-20)
    with torch.no_grad():
        cell.derivatives.weight[:, 1] *= 2
    # Every filter of one of three fields has one moment too large by 1: 25 of 25 x 25 moments, of that field.
    assert cell.moment_loss().item() == pytest.approx(1 / 25)


def test_the_moment_loss_teaches_derivatives() -> None:
    torch.manual_seed(0)
    cell = PhysicalCell(1, kernel=3).double()
    optimizer = torch.optim.LBFGS(
        [cell.derivatives.weight], max_iter=500, tolerance_grad=1e-14, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        found = cell.moment_loss()
        found.backward()
        return found

    optimizer.step(loss)
    torch.testing.assert_close(cell.derivatives.weight[:, 0], derivatives(3), rtol=0, atol=1e-6)


@pytest.mark.parametrize("bias", [-1e4, 1e4])
def test_the_gain_chooses_between_prediction_and_sight(bias: float) -> None:
    cell = PhysicalCell(2, kernel=3)
    with torch.no_grad():
        cell.gain.weight.zero_()
        cell.gain.bias.fill_(bias)
        seen, state = torch.randn(2, 1, 2, 5, 5)
        predicted = state + cell.combine(cell.derivatives(state))
        torch.testing.assert_close(cell(seen, state), seen if bias > 0 else predicted)


def test_a_sigmoid_bounds_frames() -> None:
    frames = PhyDNet(steps=2, width=16, residual=(16,), kernel=3, output="sigmoid")(100 * torch.randn(1, 2, 8, 8, 1))
    assert 0 <= float(frames.min()) <= float(frames.max()) <= 1
