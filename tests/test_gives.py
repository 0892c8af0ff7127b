"""What a method says it gives is what the plan counts, what is stored, and what its estimate is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import EstimateError, HandshakeError, Registry, Signature, Solver, hookimpl, quantities
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.stores.arrays import read

MEMBERS = 5


class Last(Solver):
    """The last input."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        made = xr.Dataset(coords={"lead": np.arange(1, wanted.sizes["lead"] + 1)})
        for name in wanted.names:
            last = inputs[name].isel(lead=-1, drop=True)
            made[name] = last.expand_dims(lead=made["lead"], axis=1).astype("float32").assign_attrs(last.attrs)
        return made


class Sure(Last):
    """With a variance."""

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.with_variance()

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        made = super().solve(inputs, wanted)
        return made.assign({f"{name}_variance": (made[name] * 0 + 1).drop_attrs() for name in wanted.names})


class Crowd(Last):
    """With members."""

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.with_members(MEMBERS)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        made = super().solve(inputs, wanted)
        return xr.concat([made] * MEMBERS, "member").transpose("sample", "member", ...)


class Secret(Sure):
    """With a variance that it says nothing of."""

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth


class Celsius(Last):
    """In other units than the truth."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        made = super().solve(inputs, wanted)
        return made.assign({name: made[name].assign_attrs(units="degF") for name in wanted.names})


class Few(Crowd):
    """With fewer members than it says."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).isel(member=slice(2))


class Plugin:
    @hookimpl
    def register_methods(self, register: Any) -> None:
        for part in (Last, Sure, Crowd, Secret, Celsius, Few):
            register(f"a-{part.__name__.lower()}", part)


@pytest.fixture
def registry() -> Registry:
    made = Registry.installed()
    made.add("gives", Plugin())
    return made


@pytest.mark.parametrize(("method", "times"), [("a-last", 1), ("a-sure", 2), ("a-crowd", MEMBERS)])
def test_the_bytes_of_the_plan_are_those_that_are_stored(
    recipe: Callable[..., Any], registry: Registry, tmp_path: Any, method: str, times: int
) -> None:
    (plain,) = plans(recipe(train={"method": "a-last"}), registry=registry, store=str(tmp_path / "store"))
    (plan,) = plans(recipe(train={"method": method}), registry=registry, store=str(tmp_path / "store"))
    done = execute(plan, registry=registry, to="constrain")
    stored = read(done.stages["constrain"].store)
    step = plan.steps["constrain"]
    assert step.nbytes == len(plan.versions) * sum(each.nbytes for each in stored.data_vars.values())
    assert step.nbytes == times * plain.steps["constrain"].nbytes
    for name, each in stored.data_vars.items():
        units = stored[str(name).removesuffix("_variance")].attrs["units"]
        assert each.attrs["units"] == (quantities.squared(units) if str(name).endswith("_variance") else units)


@pytest.mark.bad_input("authors", "an estimate that is not what its method says it gives: {id}")
@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("a-secret", "_variance' too"),
        ("a-celsius", "in 'degF'"),
        ("a-few", "with 2 along 'member'"),
    ],
)
def test_an_estimate_that_is_something_else_is_refused(
    recipe: Callable[..., Any], registry: Registry, tmp_path: Any, method: str, says: str
) -> None:
    (plan,) = plans(recipe(train={"method": method}), registry=registry, store=str(tmp_path / "store"))
    with pytest.raises(EstimateError, match=says):
        execute(plan, registry=registry)


def test_metrics_shake_hands_with_what_is_given(recipe: Callable[..., Any], registry: Registry, tmp_path: Any) -> None:
    """`probconserv` needs an uncertainty: a method that says it gives a variance is held by it."""
    held = {
        "constrain": [{"hold": {"area-mean": {"variable": "temperature", "target": "last-input"}}, "by": "probconserv"}]
    }
    plans(recipe(train={"method": "a-sure"}, **held), registry=registry, store=str(tmp_path / "store"))
    with pytest.raises(HandshakeError, match="needs an estimate with"):
        plans(recipe(train={"method": "a-last"}, **held), registry=registry, store=str(tmp_path / "store"))


@pytest.mark.parametrize(
    ("units", "squared"),
    [
        ("1", "1"),
        ("K", "K2"),
        ("degC", "K2"),
        ("m/s", "m2 s-2"),
        ("kg m-2 s-1", "kg2 m-4 s-2"),
        ("mm", "mm2"),
        ("0.1 K", "(0.1 K)^2"),
    ],
)
def test_units_of_a_variance(units: str, squared: str) -> None:
    assert quantities.squared(units) == squared
