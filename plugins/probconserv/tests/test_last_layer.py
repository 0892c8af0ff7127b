"""A network that ends in the solve: it obeys whatever its weights are, and learns through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from thalweg import Fields, HandshakeError, Held, Hold, LinearLaw, Registry, RunError, Samples
from thalweg.components.context import context_of
from thalweg.laws import BoundaryFlux, BoundaryValue, Integral, Periodic, grid_of
from thalweg.testing import check_enforcer, series, windowed
from thalweg.testing.toy_learner import ToyLearner, learn
from thalweg_probconserv.enforcers.additive import Additive
from thalweg_probconserv.enforcers.last_layer import LastLayer
from thalweg_probconserv.enforcers.multiplicative import Multiplicative
from thalweg_probconserv.enforcers.penalty import Penalty
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

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor] | None = None) -> Tensor:  # noqa: ARG002
        return torch.sigmoid(self.mix(inputs))


LAWS: tuple[LinearLaw, ...] = (
    Integral(variable="u", weights="trapezoid", target="mass"),
    Integral(variable="u", dims=("x",), target="0.5 * row(u) + mass"),
    BoundaryFlux(variable="v", dim="y", side="left", target="mass"),
    Periodic(variable="u", dim="x"),
)


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


def known(by: LastLayer, held: Held, context: xr.Dataset) -> dict[str, Tensor]:
    return {f"0/{n}": torch.from_numpy(np.ascontiguousarray(each)) for n, each in by.known(held, context).items()}


def under(by: LastLayer, bare: Any, *laws: LinearLaw) -> Tensor:
    """What a network gives under laws."""
    given, context = inputs()
    held = Held.of(laws, fields(bare(given), context), context)
    output: Tensor = by.wrap(bare, held, "0").forward(given, known(by, held, context))
    return output


@pytest.mark.parametrize("law", LAWS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(("by", "output"), [("additive", Additive()), ("multiplicative", Multiplicative())])
def test_it_is_what_the_output_site_makes_of_the_bare_network(law: LinearLaw, by: Any, output: Any) -> None:
    bare, (given, context) = Network(), inputs()
    held = under(LastLayer(by=by), bare, law)
    free = fields(bare(given), context)
    expected = output.hold(free, Held.of((law,), free, context), context)
    for name in "uv":
        np.testing.assert_allclose(fields(held, context)[name], expected[name], atol=2e-6)
    left = law.residual(fields(held, context), context, grid_of(free, context))
    assert float(abs(next(iter(left.data_vars.values()))).max()) < 1e-5


def test_two_laws_hold_at_once() -> None:
    laws, (_, context) = (LAWS[0], BoundaryValue(variable="u", dim="x", target=0.2)), inputs()
    found = fields(under(LastLayer(), Network(), *laws), context)
    grid = grid_of(found, context)
    assert all(float(abs(law.residual(found, context, grid)["u"]).max()) < 1e-5 for law in laws)


def test_rows_that_follow_from_others_are_left_out_and_contradictions_refused() -> None:
    total = Integral(variable="u", target="mass")
    both = under(LastLayer(), (bare := Network()), total, Integral(variable="u", dims=("x",), target="mass / 5"))
    torch.testing.assert_close(both[..., 0].sum(-1), (inputs()[0][:, :, 0, 2] / 5), rtol=0, atol=1e-6)
    with pytest.raises(RunError, match="contradict each other"):
        under(LastLayer(), bare, total, Integral(variable="u", dims=("x",), target="mass / 4"))


def test_the_gradient_knows_of_the_law() -> None:
    """A field moved off the law by as much everywhere is moved back: nothing is to be gained there."""
    law, bare = Integral(variable="u", target="mass"), Network()
    under(LastLayer(), bare, law)[..., 0].sum().backward()
    assert all(float(each.grad.abs().max()) < 1e-5 for each in bare.parameters() if each.grad is not None)
    for by in ("additive", "multiplicative"):
        assert torch.autograd.gradcheck(
            lambda tensor, by=by: under(LastLayer(by=by), _Given(tensor), law, LAWS[3]),
            torch.rand(3, 5, 6, 2, dtype=torch.float64, requires_grad=True),
        )


class _Given(nn.Module):
    """A network that gives one tensor."""

    given, wanted = Network.given, Network.wanted

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, inputs: Tensor, known: Mapping[str, Tensor] | None = None) -> Tensor:  # noqa: ARG002
        return self.output


def test_it_is_one_graph() -> None:
    """No part of it leaves torch, at another size of batch either; nothing is compiled here."""
    (given, context), bare = inputs(), Network()
    laws = LAWS[0], LAWS[3], BoundaryValue(variable="u", dim="y", target=0.2)
    held = Held.of(laws, fields(bare(given), context), context)
    layer: Any = LastLayer().wrap(bare, held, "0")  # type: ignore[arg-type]
    told = known(LastLayer(), held, context)
    expected = layer(given, told)
    graph = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(graph(given, told), expected)
    two = {name: each if len(each) == 1 else each[:2] for name, each in told.items()}
    torch.testing.assert_close(graph(given[:2], two), expected[:2])
    loss = torch.compile(_penalty, fullgraph=True, backend="eager")
    apart = {name: torch.from_numpy(each) for name, each in Penalty().known(held, context).items()}
    assert float(_penalty(expected.detach(), held, apart)) < 1e-10
    torch.testing.assert_close(loss(2 * expected, held, apart), _penalty(2 * expected, held, apart))


PENALTY = Penalty()


def _penalty(output: Tensor, held: Held, known: dict[str, Tensor]) -> Tensor:
    values = {"u": output[..., 0], "v": output[..., 1]}
    return PENALTY.penalty(Fields(values, dict.fromkeys(values, ("sample", "y", "x"))), held, known)


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
        LastLayer().wrap(nn.Linear(1, 1), Held(LAWS[:1], xr.Dataset()), "0")  # type: ignore[arg-type]
    with pytest.raises(HandshakeError, match="not known before"):
        under(LastLayer(), Network(), Integral(variable="u", target="budget"))
    assert "last-layer" in Registry.installed().parts("enforcers")


@pytest.mark.parametrize("by", ["additive", "multiplicative"])
def test_conformance(by: Any) -> None:
    check_enforcer(LastLayer(by=by))
