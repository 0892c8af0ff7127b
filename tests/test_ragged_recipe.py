"""Samples of unlike size through a recipe: the scores are those of the padded samples, the bytes are not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import thalweg
import xarray as xr
from pydantic import Field
from thalweg import (
    Dataset,
    Fitted,
    Held,
    Law,
    Learner,
    Metric,
    OutputEnforcer,
    Pairs,
    Ragged,
    Registry,
    Signature,
    Solver,
    Training,
    hookimpl,
)
from thalweg.errors import EstimateError
from thalweg.pipeline import Execution, execute
from thalweg.recipes import steps
from thalweg.recipes.planning import plans_of
from thalweg.recipes.recipe import Recipe
from thalweg.results.comparing import compared
from thalweg.results.folders import read_run
from thalweg.results.sides import Side, sides_of
from thalweg.stores.arrays import read
from thalweg.testing import check_dataset, laws, methods, metrics
from thalweg.testing.report import attempt
from thalweg.testing.toy_learner import ToyLearner

COUNTS = (3, 400, 0, 5, 4, 40, 7, 3, 3, 60)


class Graphs(Dataset):
    """Heights and weights of the nodes of graphs, in rows or padded."""

    padded: bool = Field(False, description="whether graphs are padded to the largest")
    gaps: bool = Field(False, description="whether some weights are missing")

    def open(self) -> xr.Dataset:
        random = np.random.default_rng(5)
        height = [random.normal(size=(n, 2)) for n in COUNTS]
        weight = [each.sum(1) + 0.1 * random.normal(size=len(each)) for each in height]
        total = np.array([each.sum() for each in weight])
        if self.gaps:
            for each in weight:
                each[::7] = np.nan
        coords = {"graph": [f"g{i}" for i in range(len(COUNTS))]}
        one = unit = {"units": "kg"}
        names = {"inputs": ("height", "total"), "truth": ("weight",)}
        if self.padded:
            data = xr.Dataset(
                {
                    "height": (("graph", "node", "axis"), _padded(height), one),
                    "weight": (("graph", "node"), _padded(weight), unit),
                    "total": ("graph", total, unit),
                },
                coords,
            )
            return Pairs.over("graph", len(COUNTS), **names).on(data.chunk({"graph": 4}))
        data = xr.Dataset(
            {
                "height": (("node", "axis"), np.concatenate(height), one),
                "weight": ("node", np.concatenate(weight), unit),
                "total": ("graph", total, unit),
            },
            coords,
        )
        return Ragged.over("graph", {"node": COUNTS}, **names).on(data.chunk({"node": 64, "graph": 4}))

    def fingerprint(self) -> str:
        return "made"


def _padded(parts: list[Any]) -> Any:
    size = max(map(len, parts))
    return np.stack([np.concatenate([each, np.full((size - len(each), *each.shape[1:]), np.nan)]) for each in parts])


class Sum(Solver):
    """The sum of the heights, and as members it less and more a bit."""

    members: int = 0
    silent: bool = False
    dies: str = ""
    """A folder; while it is there the third batch raises."""

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.with_members(self.members) if self.members else truth

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        assert all(wanted.sizes[dim] == inputs.sizes[dim] for dim in ("sample", "node"))
        if self.dies and Path(self.dies).exists() and "g4" in inputs["sample"].values:
            raise RuntimeError("died")
        found = inputs["height"].sum("axis", skipna=False)
        if self.silent:
            found = found.where(inputs["height"].isel(axis=0) < 1)
        if self.members:
            found = found + xr.DataArray(np.linspace(-1, 1, self.members), dims="member")
        return found.astype("float64").drop_vars(list(found.coords)).to_dataset(name="weight")


class Scale(Fitted):
    """Scales the sum of the heights."""

    factor: float = 1.0

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return (self.factor * inputs["height"].sum("axis", skipna=False)).to_dataset(name="weight")


class Scaled(Learner):
    """Learns the factor from all elements of the training samples."""

    fitted: ClassVar[type[Fitted]] = Scale

    def fit(self, training: Training) -> Fitted:
        one = training.train.inputs(slice(None))["height"].sum("axis", skipna=False).values.ravel()
        other = training.train.truth(slice(None))["weight"].values.ravel()
        known = np.isfinite(one) & np.isfinite(other)
        return Scale(factor=float(np.round(one[known] @ other[known] / (one[known] @ one[known]), 12)))


class Total(Law):
    """The weights of a graph add up to its total."""

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return (_added(fields["weight"]) - context["total"]).assign_attrs(units="kg").to_dataset(name="total")


class Positive(Law):
    """No weight is below zero: a residual at each node."""

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        return fields["weight"].clip(max=0).assign_attrs(units="kg").to_dataset(name="below")


class Shift(OutputEnforcer):
    """Shifts the weights of a graph so that they add up."""

    takes: ClassVar[tuple[type[Law], ...]] = (Law,)

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        weight = estimate["weight"]
        count = _added(xr.ones_like(weight).where(weight.notnull()))
        missing = (context["total"] - _added(weight)) / count.where(count > 0)
        if "node_sample" in weight.coords:
            missing = missing.isel(sample=weight["node_sample"].variable)
        return estimate.assign(weight=(weight + missing).transpose(*weight.dims).assign_attrs(weight.attrs))


class Keep(OutputEnforcer):
    """Leaves an estimate as it is."""

    takes: ClassVar[tuple[type[Law], ...]] = (Law,)

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        return estimate


def _added(weight: xr.DataArray) -> xr.DataArray:
    if "node_sample" not in weight.coords:
        return weight.sum("node")
    count = weight.sizes["node"]
    owner = weight["node_sample"].values
    size = int(owner.max()) + 1 if count else 0
    return xr.DataArray(np.bincount(owner, np.nan_to_num(weight.values), size), dims="sample")


class Plain(Metric):
    """The mean absolute error, as a field per point."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"error": abs(estimate["weight"] - truth["weight"])}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["error"]


class Mine:
    @hookimpl
    def register_datasets(self, register: Any) -> None:
        register("graphs", Graphs)

    @hookimpl
    def register_methods(self, register: Any) -> None:
        register("sum", Sum)
        register("scaled", Scaled)
        register("my-toy", ToyLearner)

    @hookimpl
    def register_laws(self, register: Any) -> None:
        register("total", Total)
        register("positive", Positive)

    @hookimpl
    def register_enforcers(self, register: Any) -> None:
        register("shift", Shift)
        register("keep", Keep)

    @hookimpl
    def register_metrics(self, register: Any) -> None:
        register("plain", Plain)


REGISTRY = Registry.installed()
REGISTRY.add("mine", Mine())


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two samples of the largest size to a batch."""
    monkeypatch.setattr(steps, "BATCH", 2 * (400 * 8 * 3 + 8))


def ran(store: Path, *, data: Mapping[str, Any] | None = None, **sections: Any) -> Execution:
    recipe = {
        "name": "graphs",
        "ingest": {"graphs": dict(data or {})},
        "train": {"method": "sum"},
        "evaluate": ["plain", "mae", "rmse"],
        **sections,
    }
    (plan,) = plans_of(Recipe.parse(recipe), REGISTRY, store=str(store))
    assert plan.batch == 2 or sections.get("train") != {"method": "sum"}
    return execute(plan, registry=REGISTRY)


def scores(done: Execution) -> dict[str, float]:
    return {f"{each.name} {each.count}": each.value for each in done.records()}


def side(done: Execution, variant: str = "free") -> Side:
    found = read_run(done.run.folder, done.plan.store)
    return next(each for each in sides_of("", found["records"], found["stores"]) if each.variant == variant)


HELD = [{"hold": "total", "by": "shift"}, {"hold": "positive", "by": "keep"}]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"data": {"gaps": True}},
        {"constrain": HELD},
        {"train": {"method": {"sum": {"members": 3}}}, "evaluate": ["mae", {"crps": {"estimator": "fair"}}]},
        {
            "train": {"method": "scaled"},
            "preprocess": [{"split": {"fractions": [0.5, 0.1, 0.4]}}],
            "constrain": HELD,
        },
    ],
    ids=["free", "gaps", "held", "members", "learned"],
)
def test_scores_and_sums_are_those_of_the_padded_samples(tmp_path: Path, sections: dict[str, Any]) -> None:
    data = sections.pop("data", {})
    rows = ran(tmp_path / "store", data=data, **sections)
    wide = ran(tmp_path / "store", data={**data, "padded": True}, **sections)
    assert scores(rows).keys() == scores(wide).keys()
    for name, value in scores(wide).items():
        assert scores(rows)[name] == pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True), name
    for variant in ("free", *(["held"] if "constrain" in sections else [])):
        one, other = side(rows, variant), side(wide, variant)
        for label, tally in other.sums.tallies(variant).items():
            # A law's residual has rows where there is no node too, if graphs are padded.
            for name, each in ((name, each) for name, each in tally.items() if name != "rows"):
                found = one.sums.tallies(variant)[label][name]
                np.testing.assert_array_equal(found.count, each.count)
                np.testing.assert_allclose(found.sum, each.sum, rtol=1e-12, atol=1e-12)
        for part in ("points", "answered"):
            first, second = (each.sums.answered(variant)["weight"][part].values for each in (one, other))
            np.testing.assert_array_equal(first, second)


def test_a_store_holds_as_many_elements_as_there_are(tmp_path: Path) -> None:
    done = ran(tmp_path / "store")
    plan, elements = done.plan, sum(COUNTS)
    assert plan.steps["ingest"].nbytes == elements * 3 * 8 + len(COUNTS) * 8
    stored = {name: read(side(done).stores[name]) for name in ("ingest", "preprocess")}
    assert stored["ingest"]["height"].shape == (elements, 2)
    assert sorted(stored["preprocess"].attrs["kept"]) == ["height", "total", "weight"]
    estimate = read(side(done).stores["estimates"]["free"])
    assert plan.steps["constrain"].nbytes == estimate["weight"].nbytes
    assert elements <= estimate["weight"].size < 1.2 * elements < len(COUNTS) * max(COUNTS) / 6
    wide = ran(tmp_path / "store", data={"padded": True})
    assert wide.plan.steps["ingest"].nbytes == len(COUNTS) * (max(COUNTS) * 3 * 8 + 8)
    assert wide.plan.steps["constrain"].peak == plan.steps["constrain"].peak


def test_an_estimate_is_read_in_rows(tmp_path: Path) -> None:
    done = ran(tmp_path / "store", constrain=HELD)
    (found,) = [thalweg.Finished.of(done.run.name, store=tmp_path / "store", registry=REGISTRY)]
    for variant in found.variants:
        estimate = found.estimate(variant)
        assert estimate["weight"].dims == ("node",)
        np.testing.assert_array_equal(estimate["node_count"], COUNTS)
        np.testing.assert_array_equal(estimate["node_sample"], np.repeat(np.arange(len(COUNTS)), COUNTS))
        assert estimate["sample"].values.tolist() == [f"g{i}" for i in range(len(COUNTS))]
    truth = Graphs().open()
    np.testing.assert_array_equal(found.estimate("free")["weight"], truth["height"].sum("axis"))
    total = np.bincount(estimate["node_sample"], estimate["weight"])
    known = np.flatnonzero(COUNTS)
    np.testing.assert_allclose(total[known], truth["total"].values[known])


@pytest.mark.fault("stores", "a batch of samples of unlike size fails, and the run is started again")
def test_a_run_that_died_goes_on_with_its_batches(tmp_path: Path) -> None:
    (tmp_path / "dies").mkdir()
    train = {"method": {"sum": {"dies": str(tmp_path / "dies")}}}
    with pytest.raises(Exception, match="died"):
        ran(tmp_path / "store", train=train)
    (tmp_path / "dies").rmdir()
    done = ran(tmp_path / "store", train=train)
    plain = ran(tmp_path / "other")
    assert scores(done) == scores(plain)
    one, other = (each.estimate(np.arange(len(COUNTS))) for each in (side(done), side(plain)))
    xr.testing.assert_identical(one, other)


@pytest.mark.parametrize("missing", ["drop", "reference"])
def test_runs_are_compared_on_the_elements_that_both_answered(tmp_path: Path, missing: Any) -> None:
    found = {}
    for padded in (False, True):
        both = [ran(tmp_path / "s", data={"padded": padded}, train={"method": {"sum": {"silent": s}}}) for s in (0, 1)]
        found[padded] = compared([side(each) for each in both], registry=REGISTRY, missing=missing)
    rows, wide = found[False], found[True]
    assert rows.read_again == wide.read_again > 0
    assert rows.samples == wide.samples == len(COUNTS)
    for one, other in zip(rows.sides, wide.sides, strict=True):
        for (name, record), (_, expected) in zip(one.rows.items(), other.rows.items(), strict=True):
            assert record.value == pytest.approx(expected.value, rel=1e-12), name
            assert (record.count, record.coverage) == (expected.count, expected.coverage)
    first, second = (
        [d.value for each in side_.values() for d in each] for side_ in (rows.differences[1], wide.differences[1])
    )
    np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-12)


def test_a_learned_solver_solves_alone(tmp_path: Path) -> None:
    split = [{"split": {"fractions": [0.5, 0.1, 0.4]}}]
    done = ran(tmp_path / "store", train={"method": "scaled"}, preprocess=split)
    (folder,) = (tmp_path / "store" / "train").glob("*/attempt-*/data")
    solved = thalweg.load(str(folder), registry=REGISTRY)
    samples = thalweg.Samples.of(done_data(done), "test")
    estimate = solved.solve(samples.inputs([1, 0]))
    kept = side(done).estimate(np.array([1, 0]))
    np.testing.assert_array_equal(estimate["weight"], kept["weight"])


def done_data(done: Execution) -> xr.Dataset:
    from thalweg.samples import Prepared

    return Prepared(*(str(side(done).stores[name]) for name in ("ingest", "preprocess", "index"))).open()


def test_a_network_is_refused_at_plan_time(tmp_path: Path) -> None:
    split = [{"split": {"fractions": [0.5, 0.1, 0.4]}}]
    with pytest.raises(thalweg.HandshakeError) as error:
        ran(tmp_path / "store", train={"method": "my-toy", "epochs": 1}, preprocess=split)
    assert error.value.given == "samples have elements of their own number along 'node'"


def test_an_estimate_with_other_elements_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sum, "solve", lambda _, inputs, wanted: xr.Dataset({"weight": ("node", np.zeros(7))}))  # noqa: ARG005
    with pytest.raises(EstimateError, match="gives 'weight' with 7 along 'node'"):
        ran(tmp_path / "store")


def test_the_dataset_keeps_what_datasets_keep() -> None:
    check_dataset(Graphs())


class Crowd(Sum):
    """Sees the other graphs of its batch."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        found = super().solve(inputs, wanted)
        return found - found.mean()


class Crowded(Positive):
    """A residual that depends on the other graphs of the batch."""

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        found = super().residual(fields, context, grid)
        return (found - found.mean()).map(lambda each: each.assign_attrs(units="kg"))


class Ordered(Plain):
    """Weighs the first elements of a batch more."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        error = super().statistics(estimate, truth)["error"]
        return {"error": error * xr.DataArray(np.linspace(2, 1, error.sizes["node"]), dims="node")}


class Ratio(Plain):
    """A norm over all nodes of the batch."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"ratio": (super().statistics(estimate, truth)["error"] ** 2).sum() ** 0.5}


def test_a_mean_over_several_samples_is_refused() -> None:
    samples = thalweg.Samples.of(Graphs().open())
    truth = samples.truth(slice(None))
    with pytest.raises(EstimateError) as error:
        thalweg.score(Ratio(), truth, truth)
    assert error.value.given == "Ratio makes one value of 'ratio' for all samples of a batch"
    assert error.value.allowed == "a statistic along sample or node, or `Totals`"


def test_the_kit_cuts_batches_of_unlike_samples() -> None:
    """Parts that keep their contract pass on them; those that see other samples of the batch are named."""
    data = Graphs().open()
    for solver, wrong in ((Sum(), False), (Crowd(), True)):
        case = methods.Case(solver, data)
        assert failed(methods.samples_do_not_see_one_another, case) == wrong
        assert not failed(methods.estimate_is_what_is_wanted, case)
    for law, wrong in ((Positive(), False), (Crowded(), True)):
        assert failed(laws.samples_do_not_see_one_another, laws.Case(law, data)) == wrong
    samples = thalweg.Samples.of(data)
    truth, inputs = samples.truth(slice(None)), samples.inputs(slice(None))
    estimate = Sum().solve(inputs, Signature((), dict(inputs.sizes))).assign_coords(truth.coords)
    for metric, wrong in ((Plain(), False), (Ordered(), True)):
        assert failed(metrics.order_of_samples_does_not_matter, metric, estimate, truth) == wrong
        assert failed(metrics.cuts_do_not_matter, metric, estimate, truth) == wrong
    assert not failed(metrics.missing_truth_is_not_counted, Plain(), estimate, truth)


def failed(check: Any, *arguments: Any) -> bool:
    (found,) = attempt("", "", (check,), *arguments)
    return found.ok is not True
