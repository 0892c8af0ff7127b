"""Whole networks: the law holds for any weights and inputs, and is the law that is scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import HandshakeError, Law, OptionError
from thalweg.laws import grid_of
from thalweg.learning.network import Unscaled
from thalweg.testing import check_enforcer, check_law, series, windowed
from thalweg_boon.closures import DirichletClosure, NeumannClosure, PeriodicClosure
from thalweg_boon.enforcers.boon import Boon
from thalweg_boon.enforcers.boundary_channel import BoundaryChannel
from thalweg_boon.laws.dirichlet import Dirichlet
from thalweg_boon.laws.neumann import Neumann
from thalweg_boon.laws.periodic import Periodic
from thalweg_boon.layer import Corrected
from thalweg_boon.stencil import one_sided
from torch import Tensor, nn


@dataclass(frozen=True)
class Layout:
    names: tuple[str, ...]
    dims: tuple[str, ...]


class Smooth(nn.Module):
    """A linear layer on fields that is no convolution: each cell takes from its neighbours, as far as they go."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        for dim in range(1, x.ndim - 1):
            x = x + 0.5 * x.roll(1, dim) - 0.3 * x.roll(-1, dim)
        mixed: Tensor = self.mix(x)
        return mixed


class Network(nn.Module):
    """Two linear layers with a nonlinearity between them."""

    def __init__(self, dims: tuple[str, ...]) -> None:
        super().__init__()
        self.given, self.wanted = Layout(("u0", "alpha"), dims), Layout(("u", "v"), dims)
        self.first, self.second = Smooth(2), nn.Linear(2, 2)

    def linear_layers(self) -> tuple[str, ...]:
        return "first", "second"

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.second(torch.tanh(self.first(inputs)))
        return output


LAWS: list[Law] = [
    Dirichlet(variable="u", left=0.3),
    Dirichlet(variable="u", right="alpha"),
    Dirichlet(variable="u", left="u0", right=-1.0),
    Neumann(variable="u", left=0.0, spacing=0.1),
    Neumann(variable="u", right="alpha", spacing=0.1, order=3),
    Neumann(variable="u", left=1.0, right=-2.0, spacing=0.1, order=1),
    Periodic(variable="u"),
]
ENFORCERS: list[Any] = [Boon(), BoundaryChannel(), BoundaryChannel(by="lifting")]


def _fields(tensor: Tensor, layout: Layout) -> xr.Dataset:
    dims = ("sample", *layout.dims)
    coords = {"x": np.arange(tensor.shape[1 + layout.dims.index("x")]) * 0.1}
    return xr.Dataset({name: (dims, tensor[..., i].numpy()) for i, name in enumerate(layout.names)}, coords)


@pytest.mark.parametrize("sizes", [(9,), (10,), (5, 8), (4, 5, 7)])
@pytest.mark.parametrize("enforcer", ENFORCERS, ids=["boon", "overwrite", "lifting"])
@pytest.mark.parametrize("law", LAWS, ids=[f"{type(law).__name__}-{i}" for i, law in enumerate(LAWS)])
def test_the_output_obeys_the_law(law: Any, enforcer: Any, sizes: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    dims = ("z", "y", "x")[-len(sizes) :]
    network = enforcer.wrap(Network(dims).double(), law)
    inputs = torch.randn(3, *sizes, 2, dtype=torch.float64)
    with torch.no_grad():
        output = network(inputs)
    residual = law.residual(
        _fields(output, network.wanted),
        _fields(inputs, network.given),
        grid_of(_fields(output, network.wanted), _fields(inputs, network.given)),
    )["u"]
    assert residual.sizes["row"] >= 1
    assert float(abs(residual).max()) < 1e-12 * (1 + 60 * float(output.abs().max()))


@pytest.mark.parametrize("enforcer", ENFORCERS[1:])
def test_an_output_that_obeys_is_left_alone(enforcer: Any) -> None:
    for law in LAWS:
        network = enforcer.wrap(Network(("x",)).double(), law)
        inputs = torch.randn(3, 9, 2, dtype=torch.float64)
        with torch.no_grad():
            once = network(inputs)
            network.network = _Constant(once)
            torch.testing.assert_close(network(inputs), once, rtol=0, atol=1e-13)


class _Constant(nn.Module):
    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, inputs: Tensor) -> Tensor:  # noqa: ARG002
        return self.output


def test_two_laws_across_two_dims() -> None:
    enforcer = Boon()
    laws = Dirichlet(variable="u", dim="x", left=0.0, right=0.0), Neumann(variable="u", dim="y", left=0.0, spacing=1.0)
    network: nn.Module = Network(("y", "x")).double()
    for law in laws:
        network = enforcer.wrap(network, law)
    assert isinstance(network.network, nn.Module)
    network.given, network.wanted = Layout(("u0", "alpha"), ("y", "x")), Layout(("u", "v"), ("y", "x"))
    with torch.no_grad():
        output = network(torch.randn(2, 7, 8, 2, dtype=torch.float64))[..., 0]
    slope = NeumannClosure(1, ("left",), 2, 1.0).slope(output, "left")
    assert float(slope.abs().max()) < 1e-13 and (output[:, 1:, [0, -1]] == 0).all()


def test_a_network_learns_under_its_law() -> None:
    network = Boon().wrap(Network(("x",)), Dirichlet(variable="u", left="alpha"))
    network(torch.randn(2, 9, 2)).square().mean().backward()
    grads = [each.grad for each in network.parameters()]
    assert all(grad is not None and torch.isfinite(grad).all() for grad in grads)


@pytest.mark.parametrize(
    "law", [type(law)(**{**law.model_dump(), "variable": "field"}) for law in (LAWS[0], LAWS[3], LAWS[6])]
)
def test_laws_keep_the_contract(law: Law) -> None:
    check_law(law)
    check_law(Dirichlet(variable="field", dim="y", left="field", right=2.0), windowed(series()))


@pytest.mark.parametrize("enforcer", ENFORCERS)
def test_enforcers_keep_the_contract(enforcer: Any) -> None:
    ends = {"variable": "field", "left": "field", "right": 2.0}
    check_enforcer(enforcer, (Dirichlet(**ends), Neumann(**ends, dim="y", spacing=1e3), Periodic(variable="field")))


def test_values_are_scaled_as_the_network_is_inside() -> None:
    """Of both laws, the second of which is wrapped around the first."""
    bare = Network(("y", "x"))
    scales = {"u0": (0.0, 1.0), "alpha": (0.0, 1.0), "u": (5.0, 2.0), "v": (0.0, 1.0)}
    learned = Unscaled(bare, bare.given, bare.wanted, scales)  # type: ignore[arg-type]
    one = Boon().wrap(learned, Dirichlet(variable="u", left=7.0))
    two = Boon().wrap(one, Neumann(variable="u", dim="y", left=6.0, spacing=1.0))
    two(torch.randn(1, 5, 6, 2))
    held = bare.get_submodule("first")
    assert isinstance(held, Corrected)
    assert [float(boundary.values["left"]) for _, boundary in held._laws] == [1.0, 3.0]


def test_stencils_are_exact_for_their_order() -> None:
    for order in (1, 2, 3, 4):
        x = np.cumsum(np.linspace(0.1, 0.3, order + 1))
        np.testing.assert_allclose(one_sided(x) @ x**order, order * x[0] ** (order - 1), rtol=1e-9)
    np.testing.assert_allclose(one_sided(np.arange(4.0)) * 6, [-11, 18, -9, 2], rtol=1e-12)


def test_lifting_moves_the_least_smooth_part() -> None:
    """Straight lines stay straight lines, and constants constants."""
    x = torch.linspace(0, 1, 9, dtype=torch.float64)[None]
    values: dict[Any, Tensor] = {"left": torch.tensor(2.0), "right": torch.tensor(-1.0)}
    lifted = DirichletClosure(1, ("left", "right")).lift(5 * x, values)
    torch.testing.assert_close(lifted, 2 - 3 * x)
    torch.testing.assert_close(PeriodicClosure(1).lift(5 * x, {}), torch.full_like(x, 2.5))


def test_what_cannot_be_held_is_refused() -> None:
    with pytest.raises(ValueError, match="neither `left` nor `right`"):
        Dirichlet(variable="u")
    with pytest.raises(OptionError, match="how far apart"):
        Boon().wrap(Network(("x",)), Neumann(variable="u", left=0.0))
    with pytest.raises(HandshakeError, match="no linear layers"):
        Boon().wrap(_named(nn.Identity()), LAWS[0])
    with pytest.raises(HandshakeError, match="no 'beta'"):
        BoundaryChannel().wrap(Network(("x",)), Dirichlet(variable="u", left="beta"))
    with pytest.raises(HandshakeError, match="which channel is which"):
        BoundaryChannel().wrap(nn.Identity(), LAWS[0])
    with pytest.raises(OptionError, match="in 2 dims"):
        Boon(compat=True).wrap(Network(("y", "x")), LAWS[0])


def _named(module: nn.Module) -> nn.Module:
    module.given = module.wanted = Layout(("u",), ("x",))  # type: ignore[assignment]
    return module
