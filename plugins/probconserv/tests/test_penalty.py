"""A law as a term of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import HandshakeError, Hold, LinearLaw, Registry, Samples, TensorLaw
from thalweg.laws import grid_of
from thalweg.learning import to_tensor
from thalweg.learning.tensors import grid_of as tensor_grid_of
from thalweg.results.estimates import context_of
from thalweg.testing import check, series, windowed
from thalweg.testing.scenes import guess
from thalweg.testing.toy_learner import ToyLearner, learn
from thalweg_probconserv.enforcers.penalty import Penalty
from thalweg_probconserv.laws.area_mean import AreaMean
from thalweg_probconserv.laws.boundary_flux import BoundaryFlux
from thalweg_probconserv.laws.integral import Integral
from thalweg_probconserv.laws.periodic import Periodic
from thalweg_probconserv.laws.point_observations import PointObservations
from torch import Tensor

LAWS = [
    Integral(variable="field", weights="trapezoid"),
    Integral(variable="field", dims=("x",), target="0.9 * row(last(field)) + target_lead"),
    AreaMean(variable="field", target="last-input", weights="equal"),
    BoundaryFlux(variable="field", dim="y", order=3, target=1.5),
    Periodic(variable="field", dim="x"),
    PointObservations(variable="field", points=({"y": 2.5, "x": 0.3}, {"y": 4.0, "x": 1.0}), values=(1.0, 3.0)),
]
THREE = slice(0, 3)


@pytest.fixture
def samples() -> Samples:
    return Samples.of(windowed(series()), "test")


def known(samples: Samples) -> tuple[xr.Dataset, xr.Dataset]:
    context = context_of(samples.inputs(THREE), samples.wanted)
    return context, tensor_grid_of(samples.wanted, inputs=context)


@pytest.mark.parametrize("members", [False, True])
@pytest.mark.parametrize("law", LAWS, ids=lambda each: type(each).__name__)
def test_it_is_the_mean_square_of_the_residual(law: LinearLaw, samples: Samples, members: bool) -> None:
    (context, grid), fields = known(samples), guess(samples, THREE)
    tensor = to_tensor(fields)[..., 0].requires_grad_()
    if members:
        fields = xr.concat([fields, fields + 1.0], "member")
        tensor = torch.stack([tensor, tensor + 1.0], 1)
    found = Penalty(weight=2.0).penalty(law, {"field": tensor}, context, grid=grid)
    assert found.item() == pytest.approx(
        2 * float((law.residual(fields, context, grid_of(fields, context))["field"] ** 2).mean()), rel=1e-5
    )
    assert bool(torch.isfinite(torch.autograd.grad(found, tensor)[0]).all())


def test_what_is_missing_weighs_nothing(samples: Samples) -> None:
    (context, grid), fields = known(samples), guess(samples, THREE)
    sea = context["x"] < 4e3
    law = Integral(variable="field", target="row(last(field))")
    tensor = to_tensor(fields)[..., 0]
    dry, wet = context.assign(field=context["field"].where(sea)), fields.where(sea)
    found = Penalty().penalty(law, {"field": tensor}, dry, grid=grid)
    assert float(found) == pytest.approx(
        float((law.residual(wet, dry, grid_of(wet, dry))["field"] ** 2).mean()), rel=1e-5
    )
    unknown = dry.assign(total=("sample", np.array([1.0, np.nan, 2.0])))
    asked = Penalty().penalty(Integral(variable="field", target="total"), {"field": tensor}, unknown, grid=grid)
    rest = Integral(variable="field", target="total").residual(wet, unknown, grid_of(wet, unknown))["field"].fillna(0.0)
    assert float(asked) == pytest.approx(float((rest**2).mean()), rel=1e-5)


def test_learning_under_it_leads_to_the_law(tmp_path: Path) -> None:
    """Against the data, of a mean of 0.5."""
    data = windowed(series())
    test = Samples.of(data, "test")
    law, left = AreaMean(variable="field", target=0.2, weights="equal"), []
    for weight in (0.0, 1.0, 100.0):
        holds = (Hold((law,), Penalty(weight=weight)),) if weight else ()
        solver = learn(ToyLearner(), data, tmp_path / str(weight), epochs=15, holds=holds)
        inputs = test.inputs(slice(None))
        residual = law.residual(
            solver.solve(inputs, test.wanted),
            context_of(inputs, test.wanted),
            grid_of(solver.solve(inputs, test.wanted), context_of(inputs, test.wanted)),
        )
        left.append(float(abs(residual["field"]).mean()))
    assert left[0] > 0.25
    assert left[1] < left[0]
    assert left[2] < left[0] / 4


class Excess(TensorLaw):
    """A field is `level`; the residual is one field of tensors."""

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "level": 1.0}
    variable: str
    level: float

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        return fields[[self.variable]] - self.level

    def tensor_residual(self, estimate: Mapping[str, Tensor], context: xr.Dataset, *, grid: xr.Dataset) -> Tensor:  # noqa: ARG002
        return estimate[self.variable] - self.level


def test_a_law_of_tensors_says_its_own_residual() -> None:
    """Also at scattered points, and with weight 3: 3 * mean (1, 4, 9, 16)."""
    points = torch.tensor([[2.0, 3.0], [4.0, 5.0]], requires_grad=True)
    found = Penalty(weight=3.0).penalty(
        Excess(variable="field", level=1.0), {"field": points}, xr.Dataset(), grid=xr.Dataset()
    )
    assert found.item() == 22.5
    torch.testing.assert_close(torch.autograd.grad(found, points)[0], 3 * 2 * (points - 1) / 4)


def test_points_are_refused_under_rows_over_fields(samples: Samples) -> None:
    context, grid = known(samples)
    with pytest.raises(HandshakeError, match=r"Integral goes over .*, and the method learns from"):
        Penalty().penalty(LAWS[0], {"field": torch.zeros(3, 10)}, context, grid=grid)


def test_the_kit_tries_it() -> None:
    found = {each.check: each.ok for each in check(Registry.installed(), "probconserv") if each.part == "penalty"}
    assert all(found.values())
    assert {"penalty is a positive scalar", "descending it leads to the law"} <= found.keys()
