"""The residual of a diffusion equation, by differences and by automatic differentiation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import Fields, HandshakeError, Held, Signature
from thalweg.laws import grid_of
from thalweg.testing import check_law
from thalweg_pde.datasets.porous_medium import PorousMedium
from thalweg_pde.datasets.stefan import Stefan
from thalweg_pde.laws.nonlinear_diffusion import NonlinearDiffusion

POROUS = NonlinearDiffusion(variable="u", power="parameter")
MELTING = NonlinearDiffusion(variable="u", threshold="parameter")


def gap(law: NonlinearDiffusion, *tensors: Any) -> torch.Tensor:
    """The residual at scattered points."""
    field, time, space, context = tensors
    held = Held((law,), xr.Dataset())
    known = {name: torch.from_numpy(each) for name, each in held.known(context).items()}
    (found,) = held.residuals(Fields({"u": field}, {"u": ("sample", "point")}, {}, {"time": time, "x": space}), known)
    assert isinstance(found, torch.Tensor)
    return found


@pytest.mark.parametrize(("law", "kind"), [(POROUS, PorousMedium), (MELTING, Stefan)])
def test_it_keeps_the_contract(law: NonlinearDiffusion, kind: Any) -> None:
    check_law(law, kind(sizes=(1, 0, 5), cells=21, times=7, context=3).open())


@pytest.mark.parametrize("exponent", [1.0, 3.0, 6.0])
def test_the_porous_medium_obeys_behind_its_front(exponent: float) -> None:
    """Differences fall as the square of the step."""
    left = []
    for cells in (51, 101):
        problem = PorousMedium(sizes=(1, 0, 1), cells=cells, times=cells, test_exponent=exponent)
        data = problem.open().compute().isel(sample=[1])
        residual = POROUS.residual(data[["u"]], data, grid_of(data[["u"]], data))["u"]
        left.append(float(abs(residual.where(residual.x < residual.time - 0.2)).max()))
    assert left[1] < 1e-9 or left[1] < 0.3 * left[0] < 0.3


def test_the_melt_obeys_behind_its_front() -> None:
    left = []
    for cells in (101, 201):
        data = Stefan(sizes=(1, 0, 1), cells=cells, times=cells).open().compute().isel(sample=[1])
        residual = MELTING.residual(data[["u"]], data, grid_of(data[["u"]], data))["u"]
        left.append(float(abs(residual.where((residual.x < 0.1) & (residual.time > 0.05))).max()))
    assert left[1] < 0.3 * left[0] < 1e-2


def test_points_are_differentiated_by_their_coordinates() -> None:
    """Of u = t^2 (1 + x^2) / 4, at random points, with a power for each sample."""
    time, space = (torch.rand(2, 9, dtype=torch.float64, requires_grad=True) for _ in range(2))
    field = time**2 * (1 + space**2) / 4 + 0.1
    context = xr.Dataset({"parameter": ("sample", [1.0, 2.0])})
    found = gap(POROUS, field, time, space, context)
    u, t, x = (each.detach().numpy() for each in (field, time, space))
    m = np.array([[1.0], [2.0]])
    slope, curve = t**2 * x / 2, t**2 / 2
    wanted = t * (1 + x**2) / 2 - (m * u ** (m - 1) * slope**2 + u**m * curve)
    np.testing.assert_allclose(found.detach(), wanted, rtol=1e-10)


def test_it_is_differentiable_also_where_nothing_diffuses() -> None:
    time, space = (torch.rand(1, 9, requires_grad=True) for _ in range(2))
    level = torch.zeros(1, requires_grad=True)
    for law in (NonlinearDiffusion(variable="u", power=1.2), NonlinearDiffusion(variable="u", threshold=0.5)):
        field = level * (1 + time * space)
        loss = gap(law, field, time, space, xr.Dataset())
        (slope,) = torch.autograd.grad(loss.square().mean(), level)
        assert bool(torch.isfinite(slope))


def test_what_it_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="do not say what the conductivity is"):
        NonlinearDiffusion(variable="u", power=1.0, threshold=0.5)
    data = PorousMedium(sizes=(1, 0, 1), times=2, cells=9).open()
    with pytest.raises(HandshakeError, match="three points or more"):
        POROUS.check(Signature.of(data[["u"]]))
    law = NonlinearDiffusion(variable="u", power="exponent")
    with pytest.raises(HandshakeError, match="no input 'exponent' says"):
        law.residual(
            PorousMedium(sizes=(1, 0, 1), times=3, cells=9).open()[["u"]],
            data,
            grid_of(PorousMedium(sizes=(1, 0, 1), times=3, cells=9).open()[["u"]], data),
        )
