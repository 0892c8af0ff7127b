"""Every linear law by every enforcer that takes it, on fields with missing cells: what is held is what is scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from mutants import sites
from thalweg import Enforcer, Fields, Held, Law, LinearLaw, LossEnforcer, OutputEnforcer, Registry, Signature
from thalweg.errors import ThalwegError
from thalweg.learning import Layout
from thalweg.testing.gaps import GAPS, Gaps, Scene, rounding
from torch import nn

REGISTRY = Registry.installed()

LAWS: dict[str, Any] = {
    "area-mean": {},
    "area-mean by area": {"weights": "area"},
    "area-mean, equal": {"weights": "equal"},
    "area-mean, a number": {"weights": "equal", "target": 280.0},
    "area-mean along a line": {"weights": "equal", "dims": ["COLUMN"]},
    "integral": {"weights": "equal"},
    "integral by area": {"weights": "cell-area"},
    "integral, trapezoid": {"weights": "trapezoid", "target": "mean-input"},
    "integral along a line": {"dims": ["COLUMN"]},
    "block-mean": {"factor": 2},
    "boundary-value": {"dim": "COLUMN", "side": "left", "target": "last-input"},
    "boundary-value, a number": {"dim": "COLUMN", "target": 281.0},
    "boundary-value, an input": {"dim": "ROW", "side": "left", "target": "wall"},
    "boundary-flux": {"dim": "ROW", "order": 2, "target": "last-input"},
    "boundary-flux, a number": {"dim": "COLUMN", "side": "right", "target": 0.0},
    "periodic": {"dim": "COLUMN"},
    "robin": {"dim": "ROW", "slope": 2.0, "order": 2, "target": "last-input"},
    "robin, an end by itself": {
        "dim": "COLUMN",
        "value": 2.0,
        "slope": -1.0,
        "target": {"left": "wall", "right": 560.0},
    },
    "point-observations": {"points": [{"ROW": 0.4, "COLUMN": 0.2}, {"ROW": 0.9, "COLUMN": 0.8}], "values": [280, 279]},
}
TOGETHER = (("area-mean, equal", "boundary-value"), ("boundary-value", "boundary-flux"))
OUTPUT = {
    "additive": (*((name,) for name in LAWS), *TOGETHER),
    "multiplicative": (("area-mean, equal",), ("block-mean",)),
    "probconserv": (("area-mean along a line",), ("boundary-value, an input",), TOGETHER[0]),
}

FAILS: set[tuple[str, str]] = set()
"""Laws and scenes."""


def made(name: str, scene: Scene) -> LinearLaw:
    """The law on the axes of a scene."""
    row, column = (str(dim) for dim in scene.estimate["field"].dims[2:])
    ends = {dim: scene.estimate[dim].values[[0, -1]] for dim in (row, column)}
    options = {"variable": "field", **LAWS[name]}
    names = {"ROW": row, "COLUMN": column}
    for key in ("dim", "dims"):
        if key in options:
            options[key] = names[options[key]] if key == "dim" else [names[each] for each in options[key]]
    if "points" in options:
        options["points"] = [
            {names[dim]: float(ends[names[dim]][0] + share * np.ptp(ends[names[dim]])) for dim, share in point.items()}
            for point in options["points"]
        ]
    law = REGISTRY.make("laws", {name.split(" ")[0].rstrip(","): options}, where=name)
    assert isinstance(law, LinearLaw)
    return law


def residual(law: Law, fields: xr.Dataset, scene: Scene) -> xr.DataArray:
    return law.residual(fields, scene.context, scene.grid)["field"]


def held(enforcer: Enforcer, laws: tuple[Law, ...], scene: Scene) -> xr.Dataset:
    assert isinstance(enforcer, OutputEnforcer)
    field = scene.estimate["field"]
    draw = np.random.default_rng(3)
    variance = (field.dims, draw.uniform(0.5, 2.0, field.shape).astype(np.float32), {"units": "K2"})
    given = scene.estimate.assign(field_variance=variance) if enforcer.uses else scene.estimate
    return enforcer.hold(given, Held(laws, scene.grid), scene.context)


def cases() -> Iterator[Any]:
    for by, gaps in product(OUTPUT, GAPS):
        for names in OUTPUT[by]:
            if not gaps.sphere and names == ("area-mean",):
                continue
            fails = any((name, gaps.name) in FAILS for name in names)
            marks = [pytest.mark.xfail(strict=True, raises=(AssertionError, ThalwegError))] if fails else []
            yield pytest.param(by, names, gaps, id=f"{by}-{' and '.join(names)}-{gaps.name}", marks=marks)


@pytest.mark.parametrize(("by", "names", "gaps"), list(cases()))
def test_what_is_held_is_what_is_scored(by: str, names: tuple[str, ...], gaps: Any) -> None:
    scene = Scene.of(gaps)
    laws = tuple(made(name, scene) for name in names)
    found = held(REGISTRY.make("enforcers", by), laws, scene)
    np.testing.assert_array_equal(np.isnan(found["field"]), np.isnan(scene.estimate["field"]))
    for law in laws:
        left, free = (abs(residual(law, each, scene)).transpose(..., "row") for each in (found, scene.estimate))
        said = left.notnull()
        assert said.equals(free.notnull()) and bool(said.any())
        assert float(free.max()) > 1e-3
        bound = rounding(law, found, scene.grid)
        assert (np.nan_to_num(left.values) <= bound).all(), f"{float(left.max()):.3g} of {bound.max():.3g}"


class Given(nn.Module):
    """A network that gives one field."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.given = self.wanted = Layout.of(Signature.of(scene.estimate))
        self.output = torch.from_numpy(scene.estimate["field"].fillna(7.0).values)[..., None]
        self.same = nn.Identity()

    def forward(self, inputs: torch.Tensor, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.output


def told(enforcer: Any, under: Held, scene: Scene, *, prefix: str = "") -> dict[str, torch.Tensor]:
    known = enforcer.known(under, scene.context)
    return {f"{prefix}{name}": torch.from_numpy(np.ascontiguousarray(each)) for name, each in known.items()}


KNOWN_GAPS = [each for each in GAPS if not each.own]
OPERATOR = {
    "last-layer": (*((name,) for name in LAWS), *TOGETHER),
    "boundary-channel": (
        *((name,) for name in LAWS if name.startswith(("boundary", "periodic", "robin"))),
        TOGETHER[1],
    ),
}


@pytest.mark.parametrize("gaps", KNOWN_GAPS, ids=lambda each: each.name)
@pytest.mark.parametrize("by", OPERATOR)
def test_what_a_network_holds_is_what_is_scored(by: str, gaps: Gaps) -> None:
    """Missing cells are those of all inputs; whatever the network makes there says nothing."""
    scene = Scene.of(gaps)
    enforcer: Any = REGISTRY.make("enforcers", by)
    for names in OPERATOR[by]:
        if not gaps.sphere and names == ("area-mean",):
            continue
        laws = tuple(made(name, scene) for name in names)
        under = Held(laws, scene.grid)
        with torch.no_grad():
            network = enforcer.wrap(Given(scene), under, "0")
            output = network(torch.zeros(3), told(enforcer, under, scene, prefix="0/"))
        found = scene.estimate.copy(data={"field": output[..., 0].numpy()}).where(scene.estimate.notnull())
        for law in laws:
            assert _over(law, found, scene) <= 1.0, names


def _over(law: LinearLaw, found: xr.Dataset, scene: Scene) -> float:
    """What is left of a law over what rounding leaves. Fails where the free estimate obeys, or rows fall silent."""
    left, free = (abs(residual(law, each, scene)).transpose(..., "row") for each in (found, scene.estimate))
    assert left.notnull().equals(free.notnull()) and float(free.max()) > 1e-3
    return float((np.nan_to_num(left.values) / rounding(law, found, scene.grid)).max())


@pytest.mark.parametrize(
    ("mutant", "name", "gaps"),
    [
        (sites.OnIndices, "area-mean", "sphere"),
        (sites.OnIndices, "robin", "land on a face"),
        (sites.AllThere, "area-mean, equal", "land inside"),
        (sites.AllThere, "integral", "gaps by sample"),
        (sites.OfChannels, "area-mean, equal", "land inside"),
        (sites.OfChannels, "integral", "gaps by sample"),
    ],
)
def test_a_network_that_holds_another_law_is_caught(mutant: Any, name: str, gaps: str) -> None:
    scene = Scene.of(next(each for each in GAPS if each.name == gaps))
    law, over = made(name, scene), []
    for kind in (sites.Kept, mutant):
        enforcer = kind(REGISTRY.make("enforcers", "last-layer"))
        under = Held((law,), scene.grid)
        output = enforcer.wrap(Given(scene), under, "0")(torch.zeros(3), told(enforcer, under, scene, prefix="0/"))
        found = scene.estimate.copy(data={"field": output[..., 0].numpy()}).where(scene.estimate.notnull())
        over.append(_over(law, found, scene))
    assert over[0] <= 1.0 < over[1]


@pytest.mark.parametrize("gaps", KNOWN_GAPS, ids=lambda each: each.name)
def test_a_penalty_is_zero_exactly_where_the_violation_is(gaps: Gaps) -> None:
    scene, penalty = Scene.of(gaps), REGISTRY.make("enforcers", "penalty")
    assert isinstance(penalty, LossEnforcer)
    for name in LAWS:
        if gaps.sphere or name != "area-mean":
            law = made(name, scene)
            under = Held((law,), scene.grid)
            obeys = held(REGISTRY.make("enforcers", "additive"), (law,), scene)
            for fields, expected in ((obeys, None), (scene.estimate, residual(law, scene.estimate, scene))):
                values = torch.from_numpy(fields["field"].fillna(7.0).values)
                estimate = Fields({"field": values}, {"field": tuple(map(str, fields["field"].dims))})
                found = float(penalty.penalty(estimate, under, told(penalty, under, scene)))
                if expected is None:
                    assert found <= float(rounding(law, obeys, scene.grid).max()) ** 2
                else:
                    assert found == pytest.approx(float((expected.fillna(0.0) ** 2).mean()), rel=1e-6)
