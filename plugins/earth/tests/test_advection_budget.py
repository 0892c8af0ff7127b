"""The total that a motion leaves in the domain."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, Held, Signature
from thalweg.components.context import context_of
from thalweg.laws import grid_of
from thalweg.testing import check_law
from thalweg_earth.laws.advection_budget import AdvectionBudget
from thalweg_earth.methods.advection import Advection
from thalweg_probconserv.enforcers.multiplicative import Multiplicative

ROW, COLUMN = np.indices((64, 64), dtype=np.float64)
LAW = AdvectionBudget(variable="rain", motion_of="echo")


def blob(row: float, column: float) -> np.ndarray:
    return np.exp(-((ROW - row) ** 2 + (COLUMN - column) ** 2) / (2 * 4.0**2))


def moving(start: tuple[float, float], velocity: tuple[float, float], *, steps: int = 12) -> xr.Dataset:
    """Thirteen inputs that end at `start`; the rain is the square of the echo."""
    frames = np.stack([blob(start[0] - m * velocity[0], start[1] - m * velocity[1]) for m in range(12, -1, -1)])[None]
    dims = ("sample", "lead", "y", "x")
    inputs = xr.Dataset({"echo": (dims, frames), "rain": (dims, frames**2, {"units": "mm h-1"})})
    inputs = inputs.assign_coords(lead=np.arange(-12, 1))
    wanted = Signature.of(inputs[["rain"]].isel(lead=slice(0, steps)))
    return context_of(inputs, wanted)


def test_nothing_is_lost_in_the_middle() -> None:
    context = moving((32, 32), (0.5, -0.7))
    budget = LAW.targets(context, grid_of(context, context))
    assert budget.dims == ("sample", "lead", "row")
    total = float(context["rain"].isel(lead=-1).sum())
    np.testing.assert_allclose(budget.values.ravel(), total, rtol=1e-6)


def test_what_is_carried_out_is_lost() -> None:
    """Half of a blob whose centre has come to the edge; more of it later."""
    context = moving((32, 55), (0.0, 1.7))
    budget = LAW.targets(context, grid_of(context, context)).values.ravel()
    total = float(context["rain"].isel(lead=-1).sum())
    whole = np.array([(blob(32, 55 + 1.7 * m) ** 2).sum() for m in range(1, 13)])
    np.testing.assert_allclose(budget / total, whole / whole[0], atol=0.03)
    assert (np.diff(budget) <= 1e-9).all()


def test_advection_under_the_budget() -> None:
    context = moving((32, 50), (0.2, 1.3))
    inputs = context.drop_vars("target_lead")
    wanted = Signature.of(context[["rain"]].isel(lead=slice(0, 12)))
    free = Advection(motion_of="echo").solve(inputs, wanted)
    held = Multiplicative().hold(free, Held.of((LAW,), free, context), context)
    left = LAW.residual(held, context, grid_of(held, context))["rain"]
    assert float(abs(left).max()) < 1e-5
    # Of the same motion, so that what is left to correct is small.
    assert float(abs(LAW.residual(free, context, grid_of(free, context))["rain"]).max()) < 0.05 * float(
        free["rain"].sum(("y", "x")).max()
    )


def test_it_keeps_the_contract() -> None:
    check_law(AdvectionBudget(variable="field"))


def test_what_does_not_fit_is_refused() -> None:
    context = moving((32, 32), (0.0, 0.0))
    with pytest.raises(HandshakeError, match="last 20 inputs"):
        AdvectionBudget(variable="rain", frames=20).targets(context, grid_of(context, context))
    with pytest.raises(HandshakeError, match="in the plane"):
        AdvectionBudget(variable="rain").check(Signature.of(context[["rain"]].isel(y=0)))
    with pytest.raises(HandshakeError, match="no input 'wind'"):
        Advection(motion_of="wind").check(Signature.of(context))
