"""What an author's method returns against its annotation is said in one line, with the method and the part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import Metric, Registry, Samples, Solver, hookimpl
from thalweg.components.method import phases_of
from thalweg.components.system import System
from thalweg.errors import ContractError, EstimateError, UnknownNameError
from thalweg.laws import Integral, grid_of
from thalweg.learning.supervised import _both
from thalweg.recipes.handshakes import _law
from thalweg.recipes.steps import _gives_fields
from thalweg.results.estimates import checked
from thalweg.results.scoring import score
from thalweg.testing import series, windowed
from thalweg.testing.toy_learner import ToyLearner

SAMPLES = Samples.of(windowed(series()), "train")
FIELDS = xr.Dataset({"field": (("sample", "lead", "y", "x"), np.ones((1, 1, 2, 3)), {"units": "1"})})
GRID = grid_of(FIELDS, xr.Dataset())


def mutant(base: Any, **methods: Any) -> Any:
    made = {name: (lambda *_, value=value, **__: value) for name, value in methods.items()}
    return type("Mutant", (base,), {"__doc__": "Keeps no annotation.", "__module__": __name__, **made})


@pytest.mark.parametrize(
    ("method", "value", "says"),
    [
        ("phases", None, "gives nothing"),
        ("phases", (("a", 1),), "gives a tuple of tuple"),
        ("helpers", None, "gives nothing"),
        ("turns", [], "gives none"),
        ("noises", ["a"], "gives list"),
        ("noises", {"a": 3}, "gives a dict of int"),
        ("build", None, "gives nothing"),
    ],
)
def test_a_learner(method: str, value: Any, says: str) -> None:
    learner = mutant(ToyLearner, **{method: value})()
    with pytest.raises(ContractError) as caught:
        learner.demand(SAMPLES.given, SAMPLES.wanted, {})
    assert caught.value.given == f"`{method}` of Mutant {says}"
    assert phases_of(ToyLearner(), {}) == ()


@pytest.mark.parametrize("found", [3, (1, 2, 3), (0, SAMPLES)])
def test_an_objective(found: Any) -> None:
    with pytest.raises(EstimateError, match="`objective` of ToyLearner gives"):
        _both(found, ToyLearner())


class Error(Metric):
    """Mean error."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Any:
        return {"error": estimate["field"] - truth["field"]}

    def value(self, mean: Any) -> xr.DataArray:
        return mean["error"]


@pytest.mark.parametrize(
    ("method", "value"), [("statistics", {}), ("statistics", None), ("statistics", {"a": 1.0}), ("value", 1.0)]
)
def test_a_metric(method: str, value: Any) -> None:
    score(Error(), FIELDS, FIELDS)
    with pytest.raises(EstimateError, match=f"`{method}` of Mutant gives"):
        score(mutant(Error, **{method: value})(), FIELDS, FIELDS)


@pytest.mark.parametrize(("method", "value"), [("rows", 1.0), ("targets", 1.0), ("variances", None)])
def test_a_law(method: str, value: Any) -> None:
    law = mutant(Integral, **{method: value})(variable="field", target=3.0)
    with pytest.raises(ContractError, match=f"`{method}` of Mutant gives"):
        System.of([law], GRID).targets(xr.Dataset(), GRID)


def test_what_a_law_reads_are_names() -> None:
    hold: Any = type("Hold", (), {"oracle": False, "enforcer": type("By", (), {"takes": (Integral,)})()})
    given = SAMPLES.given
    for value in ("field", None, (1,)):
        law = mutant(Integral, reads=value)(variable="field")
        with pytest.raises(ContractError, match="`reads` of Mutant gives"):
            _law(hold, law, ToyLearner(), given=given, gives=given, where="constrain[0]")


def test_a_solver() -> None:
    with pytest.raises(EstimateError, match="still gives a NoneType"):
        checked(None, SAMPLES.wanted, by="still")  # type: ignore[arg-type]
    _gives_fields(SAMPLES.wanted, "still")
    for value in (None, type(SAMPLES.wanted)(SAMPLES.wanted.fields, {})):
        with pytest.raises(ContractError, match="`gives` of still"):
            _gives_fields(value, "still")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "key", "value"),
    [
        (ToyLearner, "defaults", None),
        (ToyLearner, "sites", "loss"),
        (ToyLearner, "over", "smaple"),
        (Solver, "cite", 1),
    ],
)
def test_what_a_class_says_of_itself(base: Any, key: str, value: Any) -> None:
    made = type("Mutant", (mutant(base, solve=None),), {"__doc__": "x.", "__module__": __name__, key: value})

    class Plugin:
        @hookimpl
        def register_methods(self, register: Any) -> None:
            register("mutant", made)

    with pytest.raises(UnknownNameError, match=f"PluginError: 'mutant' has {key} = {value!r}"):
        Registry({"mine": Plugin()}).get("methods", "mutant")
