"""A law as a term of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import DifferentiableLaw, Fields, HandshakeError, Held, Hold, Law, LinearLaw, Samples
from thalweg.components.context import context_of
from thalweg.laws import AreaMean, BoundaryFlux, Integral, Periodic, PointObservations, grid_of
from thalweg.learning import to_tensor
from thalweg.testing import penalties, series, windowed
from thalweg.testing.scenes import guess
from thalweg.testing.toy_learner import ToyLearner, learn
from thalweg_probconserv.enforcers.penalty import Penalty
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


def asked(by: Penalty, law: Law, values: Tensor, held: Held, context: xr.Dataset) -> Tensor:
    """The penalty of a field by one law."""
    told = {name: torch.from_numpy(each) for name, each in by.known(Held((law,), held.grid), context).items()}
    members = ("member",) if values.ndim == 5 else ()
    fields = Fields({"field": values}, {"field": ("sample", *members, "lead", "y", "x")})
    return by.penalty(fields, Held((law,), held.grid), told)


def told(samples: Samples) -> tuple[xr.Dataset, Held]:
    return context_of(samples.inputs(THREE), samples.wanted), Held((), samples.grid)


@pytest.mark.parametrize("members", [False, True])
@pytest.mark.parametrize("law", LAWS, ids=lambda each: type(each).__name__)
def test_it_is_the_mean_square_of_the_residual(law: LinearLaw, samples: Samples, members: bool) -> None:
    (context, held), fields = told(samples), guess(samples, THREE)
    tensor = to_tensor(fields)[..., 0].requires_grad_()
    if members:
        fields = xr.concat([fields, fields + 1.0], "member")
        tensor = torch.stack([tensor, tensor + 1.0], 1)
    found = asked(Penalty(weight=2.0), law, tensor, held, context)
    expected = 2 * float((law.residual(fields, context, held.grid)["field"] ** 2).mean())
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert bool(torch.isfinite(torch.autograd.grad(found, tensor)[0]).all())


def test_what_is_missing_weighs_nothing(samples: Samples) -> None:
    (context, held), fields = told(samples), guess(samples, THREE)
    sea = context["x"] < 4e3
    law = Integral(variable="field", target="row(last(field))")
    tensor = to_tensor(fields)[..., 0]
    dry, wet = context.assign(field=context["field"].where(sea)), fields.where(sea)
    found = asked(Penalty(), law, tensor, held, dry)
    assert float(found) == pytest.approx(float((law.residual(wet, dry, held.grid)["field"] ** 2).mean()), rel=1e-5)
    unknown = dry.assign(total=("sample", np.array([1.0, np.nan, 2.0])))
    law = Integral(variable="field", target="total")
    rest = law.residual(wet, unknown, held.grid)["field"].fillna(0.0)
    assert float(asked(Penalty(), law, tensor, held, unknown)) == pytest.approx(float((rest**2).mean()), rel=1e-5)


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


class Excess(DifferentiableLaw):
    """A field is `level`; the residual is one field of tensors."""

    example: ClassVar[Mapping[str, Any]] = {"variable": "field", "level": 1.0}
    variable: str
    level: float

    def array_residual(self, fields: Fields, known: Mapping[str, Tensor], grid: xr.Dataset) -> Tensor:  # noqa: ARG002
        gap: Tensor = fields.values[self.variable] - self.level
        return gap


def test_a_law_of_tensors_says_its_own_residual() -> None:
    """Also at scattered points, and with weight 3: 3 * mean (1, 4, 9, 16)."""
    points = torch.tensor([[2.0, 3.0], [4.0, 5.0]], requires_grad=True)
    fields = Fields({"field": points}, {"field": ("sample", "point")})
    held = Held((Excess(variable="field", level=1.0),), xr.Dataset())
    found = Penalty(weight=3.0).penalty(fields, held, {})
    assert found.item() == 22.5
    torch.testing.assert_close(torch.autograd.grad(found, points)[0], 3 * 2 * (points - 1) / 4)


def test_points_are_refused_under_rows_over_fields(samples: Samples) -> None:
    context, held = told(samples)
    under = Held((LAWS[0],), held.grid)
    known = {name: torch.from_numpy(each) for name, each in under.known(context).items()}
    with pytest.raises(HandshakeError, match=r"Integral goes over .*, and the method learns from"):
        Penalty().penalty(Fields({"field": torch.zeros(3, 10)}, {"field": ("sample", "point")}), under, known)


@pytest.mark.parametrize("check", penalties.CHECKS, ids=lambda each: each.__name__)
def test_it_keeps_the_contract(check: Any) -> None:
    check(penalties.Case(Penalty(), LAWS[0], windowed(series())))
