"""Whole networks: the law holds for any weights and inputs, and is the law that is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import FaceLaw, Field, HandshakeError, Held, Law, Line, OptionError, RunError, Signature
from thalweg.laws import BoundaryFlux, BoundaryValue, Periodic, Robin, grid_of
from thalweg.learning.network import Unscaled
from thalweg.testing import check_enforcer
from thalweg_boon.closures import Closure
from thalweg_boon.enforcers.boon import Boon
from thalweg_boon.enforcers.boundary_channel import BoundaryChannel
from thalweg_boon.layer import Corrected
from torch import Tensor, nn

STEP = 0.1


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

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor] | None = None) -> Tensor:  # noqa: ARG002
        output: Tensor = self.second(torch.tanh(self.first(inputs)))
        return output


class SecondLine(FaceLaw):
    """A law of somebody else: the second cell is twice the first, less than what is known."""

    def lines(self, grid: xr.Dataset) -> tuple[Line, ...]:  # noqa: ARG002
        return (Line("right", (2.0, -1.0)),)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
        return xr.DataArray([0.3], dims="row", attrs={"units": "1"})


U: dict[str, Any] = {"variable": "u", "dim": "x"}
LAWS: list[FaceLaw] = [
    BoundaryValue(**U, target={"left": 0.3}),
    BoundaryValue(**U, target={"right": "alpha"}),
    BoundaryValue(**U, target={"left": "u0", "right": -1.0}),
    BoundaryFlux(**U, target={"left": 0.0}, order=2),
    BoundaryFlux(**U, target={"right": "alpha"}, order=3),
    BoundaryFlux(**U, target={"left": 1.0, "right": -2.0}),
    Robin(**U, target={"left": "alpha", "right": 0.5}, value=2.0, slope=-0.3, order=2),
    Periodic(**U),
    SecondLine(**U),
]
ENFORCERS: list[Any] = [Boon(), BoundaryChannel(), BoundaryChannel(by="lifting")]


def fields(tensor: Tensor, layout: Layout) -> xr.Dataset:
    dims = ("sample", *layout.dims)
    coords = {dim: np.arange(tensor.shape[1 + at]) * STEP for at, dim in enumerate(layout.dims)}
    return xr.Dataset({name: (dims, tensor.detach()[..., i].numpy()) for i, name in enumerate(layout.names)}, coords)


class Under:
    """A network under laws, with what they know of its inputs."""

    def __init__(self, enforcer: Any, laws: tuple[Law, ...], bare: Any, inputs: Tensor) -> None:
        self.inputs, self.context = inputs, fields(inputs, bare.given)
        self.grid = grid_of(
            fields(inputs.new_zeros(*inputs.shape[:-1], len(bare.wanted.names)), bare.wanted), self.context
        )
        self.held = Held(laws, self.grid)
        known = enforcer.known(self.held, self.context)
        self.known = {f"0/{name}": torch.from_numpy(np.ascontiguousarray(each)) for name, each in known.items()}
        self.network: Any = enforcer.wrap(bare, self.held, "0")

    def __call__(self) -> Tensor:
        output: Tensor = self.network(self.inputs, self.known)
        return output

    def left(self, output: Tensor) -> list[xr.DataArray]:
        found = fields(output, self.network.wanted)
        return [abs(law.residual(found, self.context, self.grid)["u"]) for law in self.held.laws]


@pytest.mark.parametrize("sizes", [(9,), (10,), (5, 8), (4, 5, 7)])
@pytest.mark.parametrize("enforcer", ENFORCERS, ids=["boon", "overwrite", "lifting"])
@pytest.mark.parametrize("law", LAWS, ids=[f"{type(law).__name__}-{i}" for i, law in enumerate(LAWS)])
def test_the_output_obeys_the_law(law: Any, enforcer: Any, sizes: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    dims = ("z", "y", "x")[-len(sizes) :]
    under = Under(enforcer, (law,), Network(dims).double(), torch.randn(3, *sizes, 2, dtype=torch.float64))
    with torch.no_grad():
        output = under()
    (residual,) = under.left(output)
    assert residual.sizes["row"] >= 1
    assert float(residual.max()) < 1e-12 * (1 + 60 * float(output.abs().max()))


@pytest.mark.parametrize("enforcer", ENFORCERS[1:])
def test_an_output_that_obeys_is_left_alone(enforcer: Any) -> None:
    for law in LAWS:
        under = Under(enforcer, (law,), Network(("x",)).double(), torch.randn(3, 9, 2, dtype=torch.float64))
        with torch.no_grad():
            once = under()
            under.network.network = _Constant(once)
            torch.testing.assert_close(under(), once, rtol=0, atol=1e-13)


class _Constant(nn.Module):
    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        return self.output


@pytest.mark.parametrize("enforcer", ENFORCERS, ids=["boon", "overwrite", "lifting"])
def test_two_laws_across_two_dims(enforcer: Any) -> None:
    """Both hold, in the corner too, where they agree there; of the same field they do."""
    inputs = torch.randn(2, 7, 8, 2, dtype=torch.float64)
    agree: list[tuple[Law, ...]] = [
        (BoundaryValue(**U, target="u0"), BoundaryValue(variable="u", dim="y", target={"left": "u0"})),
        (BoundaryFlux(**U, target=0.0), BoundaryFlux(variable="u", dim="y", target=0.0, order=2)),
        (BoundaryValue(**U, target=1.5), BoundaryFlux(variable="u", dim="y", target={"left": 0.0}, order=2)),
    ]
    for laws in agree:
        under = Under(enforcer, laws, Network(("y", "x")).double(), inputs)
        with torch.no_grad():
            assert all(float(each.max()) < 1e-11 for each in under.left(under()))
    for values, other in ((1.5, 0.3), ("u0", "alpha")):
        laws = BoundaryValue(**U, target=values), BoundaryValue(variable="u", dim="y", target=other)
        with pytest.raises(RunError, match="contradict each other where their faces meet"):
            Under(enforcer, laws, Network(("y", "x")).double(), inputs)


def test_what_is_unknown_is_not_held() -> None:
    inputs = torch.randn(3, 5, 8, 2, dtype=torch.float64)
    inputs[1, 2, 0, 0] = torch.nan
    law = BoundaryValue(**U, target={"left": "u0", "right": 1.0})
    bare = Network(("y", "x")).double()
    under = Under(BoundaryChannel(), (law,), bare, inputs)
    under.inputs = inputs.nan_to_num()
    output = under()
    (left,) = under.left(output)
    assert int(left.isnull().sum()) == 1 and float(left.max()) < 1e-12
    assert float(output[1, 2, 0, 0].detach()) == float(bare(under.inputs)[1, 2, 0, 0].detach())
    gradients = torch.autograd.grad(output.square().sum(), list(bare.parameters()))
    assert all(bool(torch.isfinite(each).all()) for each in gradients)


def test_a_network_learns_under_its_law() -> None:
    under = Under(Boon(), (LAWS[1],), Network(("x",)).double(), torch.randn(2, 9, 2, dtype=torch.float64))
    under().square().mean().backward()
    grads = [each.grad for each in under.network.parameters()]
    assert all(grad is not None and torch.isfinite(grad).all() for grad in grads)


@pytest.mark.parametrize("enforcer", ENFORCERS)
def test_enforcers_keep_the_contract(enforcer: Any) -> None:
    ends: dict[str, Any] = {"variable": "field", "target": {"left": "field", "right": 2.0}}
    laws = BoundaryValue(**ends, dim="x"), BoundaryFlux(**ends, dim="y", order=2), Periodic(variable="field", dim="x")
    check_enforcer(enforcer, laws if enforcer == ENFORCERS[0] else laws[:1])


def test_values_are_scaled_as_the_network_is_inside() -> None:
    """Of both laws, a value and a slope, and of their sum."""
    bare = Network(("y", "x"))
    scales = {"u0": (0.0, 1.0), "alpha": (0.0, 1.0), "u": (5.0, 2.0), "v": (0.0, 1.0)}
    learned: Any = Unscaled(bare, bare.given, bare.wanted, scales)  # type: ignore[arg-type]
    laws = (
        BoundaryValue(**U, target={"left": 7.0}),
        BoundaryFlux(variable="u", dim="y", target={"left": 6.0}),
        Robin(variable="u", dim="y", target={"right": 4.0}, value=2.0, slope=1.0),
    )
    inputs = torch.randn(1, 5, 6, 2)
    held = Held(laws, grid_of(fields(torch.zeros(1, 5, 6, 2), bare.wanted), xr.Dataset()))
    network: Any = Boon().wrap(learned, held, "0")
    values = ([7.0], [6.0], [4.0])
    known = {f"0/{n}/values": torch.tensor(each, dtype=torch.float64).reshape(1, 1, 1) for n, each in enumerate(values)}
    network(inputs, known)
    layer = bare.get_submodule("first")
    assert isinstance(layer, Corrected)
    inside = [float(boundary.values[0].mean()) for _, boundary in layer._laws]
    np.testing.assert_allclose(inside, [1.0, 3.0, (4.0 - 2 * 5.0) / 2.0])


def test_lifting_moves_the_least_smooth_part() -> None:
    """Straight lines stay straight lines, and constants constants."""
    x = torch.linspace(0, 1, 9, dtype=torch.float64)[None]
    ends = Closure(1, (Line("left", (1.0,)), Line("right", (1.0,))))
    torch.testing.assert_close(ends.lift(5 * x, [torch.tensor(2.0), torch.tensor(-1.0)]), 2 - 3 * x)
    ring = Closure(1, (Line("both", (1.0, -1.0)),))
    torch.testing.assert_close(ring.lift(5 * x, [torch.tensor(0.0)]), torch.full_like(x, 2.5))


def test_what_cannot_be_held_is_refused() -> None:
    inputs = torch.randn(2, 9, 2, dtype=torch.float64)
    with pytest.raises(HandshakeError, match="no linear layers"):
        Under(Boon(), (LAWS[0],), _named(nn.Identity()), inputs[..., :1])
    with pytest.raises(HandshakeError, match="needs 'beta'"):
        Under(BoundaryChannel(), (BoundaryValue(**U, target="beta"),), Network(("x",)), inputs)
    with pytest.raises(HandshakeError, match="which channel is which"):
        BoundaryChannel().wrap(nn.Identity(), Held((LAWS[0],), xr.Dataset()), "0")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="in 2 dims"):
        Under(Boon(compat=True), (LAWS[0],), Network(("y", "x")), torch.randn(2, 5, 6, 2))
    with pytest.raises(HandshakeError, match="a line over 5 cells from a face, of 5"):
        Under(Boon(), (BoundaryFlux(**U, order=4),), Network(("x",)), inputs[:, :5])


def _named(module: nn.Module) -> nn.Module:
    module.given = module.wanted = Layout(("u",), ("x",))  # type: ignore[assignment]
    return module


def test_the_published_correction_of_a_plane_is_refused_by_the_plan():
    plane = Signature((Field("u", ("sample", "lead", "y", "x"), "float32"),), {"sample": 2, "lead": 1, "y": 4, "x": 4})
    with pytest.raises(OptionError, match="`compat` in 2 dims of space"):
        Boon(compat=True).check(plane)
    Boon().check(plane)
    Boon(compat=True).check(Signature((Field("u", ("sample", "lead", "x"), "float32"),), {}))
