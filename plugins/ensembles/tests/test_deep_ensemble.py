"""Ensembles of one learner: against their members, learned one by one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from thalweg import Fitted, HandshakeError, Learner, OptionError, Registry, Samples, Signature, Training, hookimpl
from thalweg.results.solver import read_fitted, write_fitted
from thalweg.testing import check_method, series, windowed
from thalweg.testing.toy_learner import learn
from thalweg_ensembles.deep_ensemble import DeepEnsemble
from thalweg_ensembles.mixture import Mixture

UNET = {"unet": {"widths": [4], "centre": 8}}
DATA = windowed(series(), inputs=4, targets=3)
TEST = Samples.of(DATA, "test")


class Gaussian(Fitted):
    """A normal distribution around a number of its own."""

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        return truth.with_variance()

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:  # noqa: ARG002
        field = TEST.truth(slice(0, wanted.sizes["sample"])).field
        mean = xr.zeros_like(field) + self.state["mean"]
        return xr.Dataset({"field": mean, "field_variance": xr.zeros_like(field) + self.state["variance"]})


class Members(Fitted):
    """Four members around a number."""

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        return truth.with_members(4)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:  # noqa: ARG002
        field = xr.zeros_like(TEST.truth(slice(0, wanted.sizes["sample"])).field)
        return xr.concat([field + self.state["mean"] + i for i in range(4)], "member").to_dataset()


class Drawn(Learner):
    """Learns a number from its seed; fails where the test says so."""

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        return truth.with_variance()

    fitted: ClassVar[type[Fitted]] = Gaussian
    trains_on: ClassVar[frozenset[str]] = frozenset({"seed"})
    failing: ClassVar[set[int]] = set()
    called: ClassVar[list[int]] = []

    needs_lead: int = 1

    def check(self, given: Signature) -> None:
        if given.sizes["lead"] < self.needs_lead:
            raise HandshakeError("too few leads")

    def fit(self, training: Training) -> Fitted:
        seed = training.options["seed"]
        self.called.append(seed)
        if seed in self.failing:
            raise KeyboardInterrupt
        training.report({"loss/train": 1.0}, 0)
        return self.fitted().with_state({"mean": np.float64([seed**2])[0:1], "variance": np.float64([seed + 1.0])})


class DrawnMembers(Drawn):
    """The same, with members."""

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        return truth.with_members(4)

    fitted: ClassVar[type[Fitted]] = Members


class Seedless(Drawn):
    """The same every time."""

    trains_on: ClassVar[frozenset[str]] = frozenset()


class Factored(Drawn):
    """With a low-rank covariance."""

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        return truth.with_factor(2)


class Plugin:
    @hookimpl
    def register_methods(self, register: Any) -> None:
        for part in (Drawn, DrawnMembers, Seedless, Factored):
            register(part.__name__.lower(), part)


@pytest.fixture(autouse=True)
def registry() -> Registry:
    made = Registry.installed()
    made.add("test", Plugin())
    Drawn.called.clear()
    Drawn.failing.clear()
    return made


def ensemble(registry: Registry, of: Mapping[str, Any] | str, members: int = 2) -> DeepEnsemble:
    made = registry.make("methods", {"deep-ensemble": {"of": of, "members": members}})
    assert isinstance(made, DeepEnsemble)
    return made


def solve(solver: Any) -> xr.Dataset:
    estimate: xr.Dataset = solver.solve(TEST.inputs(slice(0, 3)), TEST.first(3).wanted)
    return estimate


def test_it_keeps_the_contract_of_a_method(registry: Registry) -> None:
    check_method(ensemble(registry, UNET))


def test_mean_and_variance_are_those_of_members_learned_one_by_one(registry: Registry, tmp_path: Path) -> None:
    made = ensemble(registry, UNET, members=3)
    found = solve(learn(made, DATA, tmp_path, epochs=1, seed=7))  # type: ignore[arg-type]
    single = registry.make("methods", UNET)
    alone = [
        solve(learn(single, DATA, tmp_path / str(seed), epochs=1, seed=seed)).field.values.astype(np.float64)  # type: ignore[arg-type]
        for seed in (7, 8, 9)
    ]
    assert np.std(alone, axis=0).min() > 1e-4
    np.testing.assert_allclose(found.field.values, np.mean(alone, axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.field_variance.values, np.var(alone, axis=0), rtol=1e-4)
    assert found.field.attrs == TEST.truth([0]).field.attrs


def test_its_networks_may_be_members(registry: Registry, tmp_path: Path) -> None:
    options = {"of": UNET, "members": 2, "keep": "members"}
    made = registry.make("methods", {"deep-ensemble": options})
    check_method(made)  # type: ignore[arg-type]
    found = solve(learn(made, DATA, tmp_path, epochs=1, seed=7))  # type: ignore[arg-type]
    assert found.field.dims == ("sample", "member", "lead", "y", "x")
    single = registry.make("methods", UNET)
    for member, seed in enumerate((7, 8)):
        alone = solve(learn(single, DATA, tmp_path / str(seed), epochs=1, seed=seed))  # type: ignore[arg-type]
        xr.testing.assert_identical(found.isel(member=member, drop=True), alone)
    with pytest.raises(OptionError, match="drawn gives variance itself, which a member would lose"):
        wrong = registry.make("methods", {"deep-ensemble": {**options, "of": "drawn"}})
        wrong.gives(TEST.given, TEST.wanted)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("of", "variance"), [("drawn", 2.0), ("drawnmembers", 1.25)])
def test_variances_of_members_add_up_by_the_law_of_total_variance(
    registry: Registry, tmp_path: Path, of: str, variance: float
) -> None:
    """Means 0, 1, 4 of seeds 0, 1, 2; variances 1, 2, 3, or members that are 0, 1, 2, 3 above."""
    found = solve(learn(ensemble(registry, of, members=3), DATA, tmp_path))  # type: ignore[arg-type]
    shift = 1.5 if of == "drawnmembers" else 0.0
    np.testing.assert_allclose(found.field.values, 5 / 3 + shift, rtol=1e-6)
    np.testing.assert_allclose(found.field_variance.values, variance + np.var([0, 1, 4]), rtol=1e-6)


def test_after_an_interruption_finished_members_are_not_learned_again(registry: Registry, tmp_path: Path) -> None:
    made = ensemble(registry, "drawn", members=3)
    heard: list[str] = []

    def listen(numbers: Mapping[str, float], _epoch: int) -> None:
        heard.extend(numbers)

    Drawn.failing.add(1)
    with pytest.raises(KeyboardInterrupt):
        learn(made, DATA, tmp_path, report=listen)  # type: ignore[arg-type]
    Drawn.failing.clear()
    again = learn(made, DATA, tmp_path, report=listen)  # type: ignore[arg-type]
    assert Drawn.called == [0, 1, 1, 2]
    assert heard == ["loss/train/member-0", "loss/train/member-1", "loss/train/member-2"]
    whole = learn(made, DATA, tmp_path / "whole")  # type: ignore[arg-type]
    xr.testing.assert_identical(solve(again), solve(whole))


def test_a_learned_ensemble_comes_back_without_its_learning_folder(registry: Registry, tmp_path: Path) -> None:
    solver = learn(ensemble(registry, UNET), DATA, tmp_path / "learning", epochs=1)  # type: ignore[arg-type]
    write_fitted(str(tmp_path / "kept"), solver, card="", registry=registry)
    again = read_fitted(Mixture, str(tmp_path / "kept"), registry=registry)
    xr.testing.assert_identical(solve(again), solve(solver))


def test_ensembles_of_ensembles_have_the_mean_of_all(registry: Registry, tmp_path: Path) -> None:
    """Seeds 0, 1 and 1, 2: means 0, 1, 1, 4."""
    made = ensemble(registry, {"deep-ensemble": {"of": "drawn", "members": 2}})
    found = solve(learn(made, DATA, tmp_path, registry=registry))  # type: ignore[arg-type]
    np.testing.assert_allclose(found.field.values, 1.5)
    np.testing.assert_allclose(found.field_variance.values, 2.0 + np.var([0, 1, 1, 4]), rtol=1e-6)


def test_it_asks_for_what_its_learner_asks_for(registry: Registry) -> None:
    unet = registry.make("methods", UNET)
    made = ensemble(registry, UNET)
    assert isinstance(unet, Learner)
    assert (made.sites, made.trains_on) == (unet.sites, unet.trains_on)
    given = Samples.of(DATA, "train").given
    options = {"epochs": 1, "batch": 2}
    assert made.demand(given, TEST.wanted, options) == unet.demand(given, TEST.wanted, options)
    with pytest.raises(OptionError, match="there is no option 'epoch'"):
        made.demand(given, TEST.wanted, {"epoch": 1})
    with pytest.raises(HandshakeError, match="too few leads"):
        ensemble(registry, {"drawn": {"needs_lead": 9}}).check(given)


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ("seedless", "seedless draws nothing, so that the members of its ensemble would be alike"),
        ("persistence", "is no mapping"),
    ],
)
def test_a_learner_that_cannot_be_a_member_is_refused(registry: Registry, of: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ensemble(registry, of)


def test_a_covariance_does_not_go_into_a_variance_of_each_cell(registry: Registry) -> None:
    with pytest.raises(OptionError, match="the uncertainty of factored is a factor of a covariance"):
        ensemble(registry, "factored").gives(Samples.of(DATA, "train").given, TEST.wanted)


def test_one_member_is_no_ensemble(registry: Registry) -> None:
    with pytest.raises(OptionError, match="2"):
        ensemble(registry, UNET, members=1)
