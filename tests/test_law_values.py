"""Laws of values, bounds and order: one code for what is scored and for what is held while a network learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import DifferentiableLaw, Fields, HandshakeError, Held
from thalweg.laws import Bounds, Monotone, Nonnegative, grid_of

DIMS = ("sample", "lead", "y", "x")
VALUES = np.random.default_rng(2).normal(0.1, 1.0, (2, 3, 4, 5)).astype(np.float32)
CONTEXT = xr.Dataset(
    {
        "field": (DIMS, VALUES[:, :1]),
        "low": (("y", "x"), np.linspace(-1, 0.05, 20, dtype=np.float32).reshape(4, 5)),
        "high": (("sample", "target_lead"), np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])),
    }
)
FIELDS = xr.Dataset({"field": (DIMS, VALUES, {"units": "K"})})
GRID = grid_of(FIELDS, xr.Dataset())


def between(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    low, high = CONTEXT["low"].values, CONTEXT["high"].values.astype(np.float32)[:, :, None, None]
    return np.where(x < low, x - low, np.where(x > high, x - high, 0))


LAWS: list[tuple[DifferentiableLaw, Any]] = [
    (Nonnegative(variable="field"), lambda x: np.where(x < 0, x, 0)),
    (Bounds(variable="field", lower=-0.1, upper=0.3), lambda x: x - np.clip(x, np.float32(-0.1), np.float32(0.3))),
    (Bounds(variable="field", upper=0.1), lambda x: np.where(x > np.float32(0.1), x - np.float32(0.1), 0)),
    (Bounds(variable="field", lower="low", upper="high"), between),
    (Monotone(variable="field", dim="y"), lambda x: np.minimum(np.diff(x, axis=2), 0)),
    (Monotone(variable="field", dim="lead", rising=False), lambda x: np.maximum(np.diff(x, axis=1), 0)),
]


@pytest.mark.parametrize(("law", "formula"), LAWS, ids=[str(law) for law, _ in LAWS])
def test_tensors_and_what_is_scored_are_one(law: DifferentiableLaw, formula: Any) -> None:
    """Bit for bit in single precision, in any order of dims, and of members."""
    scored = law.residual(FIELDS.transpose("x", "lead", "sample", "y"), CONTEXT, GRID)["field"]
    assert scored.attrs["units"] == "K"
    expected = formula(VALUES)
    np.testing.assert_array_equal(scored.transpose(*DIMS).values, expected)
    held = Held((law,), GRID)
    known = {name: torch.from_numpy(each.copy()) for name, each in held.known(CONTEXT).items()}
    tensors = torch.from_numpy(np.stack([VALUES, VALUES], 1)).requires_grad_()
    (found,) = held.residuals(Fields({"field": tensors}, {"field": ("sample", "member", *DIMS[1:])}), known)
    for member in range(2):
        np.testing.assert_array_equal(found.detach().numpy()[:, member], expected)
    (slope,) = torch.autograd.grad(found.square().sum(), tensors)
    assert bool(slope.isfinite().all()) and bool(slope.any())


@pytest.mark.parametrize(("law", "formula"), LAWS, ids=[str(law) for law, _ in LAWS])
def test_missing_cells_are_not_scored_and_pull_at_nothing(law: DifferentiableLaw, formula: Any) -> None:
    gone = np.zeros((2, 3, 4, 5), bool)
    gone[0, :, 1, 2] = True
    values = np.where(gone, np.nan, VALUES).astype(np.float32)
    scored = law.residual(FIELDS.copy(data={"field": values}), CONTEXT, GRID)["field"].values
    expected = formula(values)
    expected = np.where(gone, np.nan, expected) if expected.shape == gone.shape else expected
    np.testing.assert_array_equal(scored, expected)
    held = Held((law,), GRID)
    context = CONTEXT.assign(field=CONTEXT["field"].where(~gone[:, :1]))
    known = {name: torch.from_numpy(each.copy()) for name, each in held.known(context).items()}
    tensor = torch.from_numpy(np.where(gone, 7.0, VALUES)).requires_grad_()
    (found,) = held.residuals(Fields({"field": tensor}, {"field": DIMS}), known)
    np.testing.assert_allclose(found.detach().numpy(), np.nan_to_num(expected), rtol=0, atol=1e-6)
    (slope,) = torch.autograd.grad(found.square().sum(), tensor)
    assert slope.shape == tensor.shape and not slope[0, :, 1, 2].any()


def test_numbers_bound_scattered_points_and_fields_of_limits_do_not() -> None:
    points = Fields({"field": torch.tensor([[-1.0, 0.5]])}, {"field": ("sample", "point")})
    for law, told in ((Nonnegative(variable="field"), True), (Bounds(variable="field", lower="low"), False)):
        held = Held((law,), GRID)
        known = {name: torch.from_numpy(each.copy()) for name, each in held.known(CONTEXT).items()}
        if told:
            assert next(held.residuals(points, known)).tolist() == [[-1.0, 0.0]]
        else:
            with pytest.raises(HandshakeError, match="along y, x"):
                next(held.residuals(points, known))


def test_what_is_infinite_breaks_a_bound_and_a_limit_that_is_missing_is_none() -> None:
    values = VALUES.copy()
    values[0, 0, 0, 0] = np.inf
    most = Bounds(variable="field", upper=6.0).residual(FIELDS.copy(data={"field": values}), CONTEXT, GRID)["field"]
    assert np.isinf(most.values[0, 0, 0, 0]) and not most.values[1].any()
    context = CONTEXT.assign(low=CONTEXT["low"].where(CONTEXT["low"] > -0.9))
    least = Bounds(variable="field", lower="low", upper=0.2).residual(FIELDS, context, GRID)["field"].values
    np.testing.assert_array_equal(least[..., 0, 0], np.maximum(VALUES[..., 0, 0] - np.float32(0.2), 0))
    with pytest.raises(ValueError, match="NaN is no bound"):
        Bounds(variable="field", lower=float("nan"))


def test_a_limit_along_the_steps_of_the_inputs_is_refused() -> None:
    with pytest.raises(HandshakeError, match="'field' lies along the steps of the inputs"):
        Bounds(variable="field", upper="field").residual(FIELDS, CONTEXT, GRID)


def test_a_limit_on_another_grid_is_refused() -> None:
    context = xr.Dataset({"low": ("y", np.zeros(3))})
    with pytest.raises(HandshakeError, match=r"a limit of \{'y': 3\}"):
        Bounds(variable="field", lower="low").residual(FIELDS, context, GRID)
