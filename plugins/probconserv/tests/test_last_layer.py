"""A network that ends in the solve: it obeys whatever its weights are, and learns through it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import HandshakeError, Held, Hold, LinearLaw, Registry, Samples
from thalweg.laws import grid_of
from thalweg.results.estimates import context_of
from thalweg.testing import check_enforcer, series, windowed
from thalweg.testing.toy_learner import ToyLearner, learn
from thalweg_probconserv.enforcers.additive import Additive
from thalweg_probconserv.enforcers.last_layer import LastLayer
from thalweg_probconserv.enforcers.multiplicative import Multiplicative
from thalweg_probconserv.laws.boundary_flux import BoundaryFlux
from thalweg_probconserv.laws.boundary_value import BoundaryValue
from thalweg_probconserv.laws.integral import Integral
from thalweg_probconserv.laws.periodic import Periodic
from torch import Tensor, nn


@dataclass(frozen=True)
class Layout:
    names: tuple[str, ...]
    dims: tuple[str, ...]


class Network(nn.Module):
    """Two fields of three inputs, of which the last has one value for a sample."""

    given, wanted = Layout(("a", "u", "mass"), ("y", "x")), Layout(("u", "v"), ("y", "x"))

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.sigmoid(self.mix(inputs))


SPACING = {"x": 0.1, "y": 0.2}
LAWS: list[LinearLaw] = [
    Integral(variable="u", weights="trapezoid", target="mass"),
    Integral(variable="u", dims=("x",), target="0.5 * row(u) + mass"),
    BoundaryFlux(variable="v", dim="y", side="left", target="mass"),
    Periodic(variable="u", dim="x"),
]


def inputs() -> tuple[Tensor, xr.Dataset]:
    draw = np.random.default_rng(1)
    fields = draw.uniform(0.1, 1.0, (3, 5, 6, 2)).astype(np.float32)
    mass = draw.uniform(0.3, 0.6, 3).astype(np.float32)
    spread = np.broadcast_to(mass[:, None, None, None], (3, 5, 6, 1))
    coords = {"y": np.arange(5) * 0.2, "x": np.arange(6) * 0.1}
    dims = ("sample", "y", "x")
    data = xr.Dataset({"a": (dims, fields[..., 0]), "u": (dims, fields[..., 1]), "mass": ("sample", mass)}, coords)
    return torch.from_numpy(np.concatenate([fields, spread], -1)), data


def fields(tensor: Tensor, like: xr.Dataset) -> xr.Dataset:
    values = tensor.detach().numpy()
    return xr.Dataset({n: (("sample", "y", "x"), values[..., i]) for i, n in enumerate("uv")}, like.coords)


@pytest.mark.parametrize("law", LAWS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(("by", "output"), [("additive", Additive()), ("multiplicative", Multiplicative())])
def test_it_is_what_the_output_site_makes_of_the_bare_network(law: LinearLaw, by: Any, output: Any) -> None:
    bare, (given, context) = Network(), inputs()
    held = LastLayer(by=by, spacing=SPACING).wrap(bare, law)(given)
    expected = output.hold(
        fields(bare(given), context), Held.of((law,), fields(bare(given), context), context), context
    )
    for name in "uv":
        np.testing.assert_allclose(fields(held, context)[name], expected[name], atol=2e-6)
    left = law.residual(fields(held, context), context, grid_of(fields(held, context), context))
    assert float(abs(next(iter(left.data_vars.values()))).max()) < 1e-5


def test_two_laws_hold_at_once() -> None:
    laws, (given, context) = (LAWS[0], BoundaryValue(variable="u", dim="x", target=0.2)), inputs()
    module: nn.Module = Network()
    for law in laws:
        module = LastLayer(spacing=SPACING).wrap(module, law)
    found = fields(module(given), context)
    assert all(float(abs(law.residual(found, context, grid_of(found, context))["u"]).max()) < 1e-5 for law in laws)


def test_the_gradient_knows_of_the_law() -> None:
    """A field moved off the law by as much everywhere is moved back: nothing is to be gained there."""
    given, _ = inputs()
    module = LastLayer().wrap(Network(), Integral(variable="u", target="mass"))
    total = module(given)[..., 0].sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert all(float(each.grad.abs().max()) < 1e-5 for each in module.parameters() if each.grad is not None)
    numeric = torch.autograd.gradcheck(
        lambda tensor: LastLayer().wrap(_Given(tensor), Integral(variable="u", target="mass"))(given.double()),
        torch.rand(3, 5, 6, 2, dtype=torch.float64, requires_grad=True),
    )
    assert numeric


class _Given(nn.Module):
    """A network that gives one tensor."""

    given, wanted = Network.given, Network.wanted

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, inputs: Tensor) -> Tensor:  # noqa: ARG002
        return self.output


def test_a_learner_learns_through_it_and_comes_back(tmp_path: Path) -> None:
    data = windowed(series())
    test = Samples.of(data, "test")
    law = Integral(variable="field", target="0.7 * row(last(field))")
    solver = learn(ToyLearner(), data, tmp_path, epochs=2, holds=(Hold((law,), LastLayer()),))
    given = test.inputs(slice(0, 3))
    found = solver.solve(given, test.wanted)
    left = law.residual(found, context_of(given, test.wanted), grid_of(found, context_of(given, test.wanted)))["field"]
    total = float(given["field"].isel(lead=-1).sum(("y", "x")).max())
    assert float(abs(left).max()) < 1e-6 * total


def test_others_are_refused() -> None:
    with pytest.raises(HandshakeError, match="which channel"):
        LastLayer().wrap(nn.Linear(1, 1), LAWS[0])
    with pytest.raises(HandshakeError, match="not known before"):
        LastLayer().wrap(Network(), Integral(variable="u", target="budget"))(inputs()[0])
    assert "last-layer" in Registry.installed().parts("enforcers")


@pytest.mark.parametrize("by", ["additive", "multiplicative"])
def test_conformance(by: Any) -> None:
    check_enforcer(LastLayer(by=by))
