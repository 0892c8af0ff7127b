"""A law at each of the four sites: what is trained twice, what is shared, what is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from thalweg import (
    Fields,
    Fitted,
    HandshakeError,
    Held,
    Hold,
    Law,
    Learner,
    LossEnforcer,
    OutputEnforcer,
    Registry,
    SamplingEnforcer,
    Signature,
    Solver,
    Steered,
    Training,
    WholeMetric,
    hookimpl,
    scalars,
)
from thalweg.errors import RecipeError
from thalweg.pipeline import Execution, execute
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans

Recipes = Callable[..., Path]


def constant(inputs: xr.Dataset, wanted: Signature, value: float) -> xr.Dataset:
    last = inputs.isel(lead=-1, drop=True)[list(wanted.names)]
    leads = xr.DataArray(np.arange(1, wanted.sizes["lead"] + 1), dims="lead")
    return (last * 0 + value).expand_dims(lead=leads).transpose("sample", "lead", ...).astype("float32")


class Level(Fitted):
    """A constant field."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return constant(inputs, wanted, float(self.state["level"]))


class Levelled(Learner):
    """Learns 1, or 0 under a law in the loss."""

    fitted: ClassVar[type[Fitted]] = Level
    sites: ClassVar[frozenset[Any]] = frozenset({"loss"})
    trains_on: ClassVar[frozenset[str]] = frozenset({"epochs"})

    def fit(self, training: Training) -> Fitted:
        for epoch in range(training.options.get("epochs", 1)):
            training.report({"loss/train": 1.0 / (epoch + 1)}, epoch)
        return Level().with_state({"level": np.array(0.0 if training.holds else 1.0)})


class Drawn(Steered):
    """Draws 1, and 0 when it is steered."""

    def steered(self, holds: tuple[Hold, ...]) -> Solver:
        assert all(hold.site == "sampling" for hold in holds)
        return Still()

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return constant(inputs, wanted, 1.0)


class Still(Solver):
    """0."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return constant(inputs, wanted, 0.0)


class Zero(Law):
    """Everything is zero."""

    variable: str = "temperature"

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        assert context["target_lead"].values.tolist() == [1, 2, 3, 4]
        return fields[[self.variable]]


class Happens(Law):
    """What happens, happens."""

    oracle: ClassVar[bool] = True
    variable: str = "temperature"

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:
        truth = context[f"truth_{self.variable}"].rename(target_lead="lead")
        return (fields[self.variable] - truth.variable).to_dataset(name=self.variable)


class InTheLoss(LossEnforcer):
    """Pulls."""

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        raise AssertionError("the toy learner reads no batch")

    def penalty(self, estimate: Fields, held: Held, known: Mapping[str, Any]) -> Any:
        raise AssertionError("the toy learner needs no penalty")


class WhileSampling(SamplingEnforcer):
    """Steers."""

    def steer(self, denoised: Any, level: int, laws: tuple[Law, ...], context: xr.Dataset) -> Any:
        raise AssertionError("the toy sampler needs no steering")


class ToTheTruth(OutputEnforcer):
    """Subtracts the residual."""

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        for law in held.laws:
            estimate = estimate - law.residual(estimate, context, held.grid)
        return estimate


class MedianError(WholeMetric):
    """The median of absolute errors."""

    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        return abs(estimate["temperature"] - truth["temperature"]).median()


class Watcher:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @hookimpl
    def register_methods(self, register: Any) -> None:
        register("levelled", Levelled)
        register("drawn", Drawn)

    @hookimpl
    def register_laws(self, register: Any) -> None:
        register("zero", Zero)
        register("true", Happens)

    @hookimpl
    def register_enforcers(self, register: Any) -> None:
        register("in-the-loss", InTheLoss)
        register("while-sampling", WhileSampling)
        register("to-the-truth", ToTheTruth)

    @hookimpl
    def register_metrics(self, register: Any) -> None:
        register("median-error", MedianError)

    @hookimpl
    def progressed(self, stage: str, numbers: Mapping[str, float], step: int) -> None:
        self.told.append(f"{stage} {step} {numbers['loss/train']:g}")

    @hookimpl
    def stage_finished(self, stage: Any) -> None:
        self.told.append(stage.name)


@pytest.fixture
def world() -> SimpleNamespace:
    watcher, registry = Watcher(), Registry.installed()
    registry.add("toys", watcher)
    return SimpleNamespace(watcher=watcher, registry=registry)


def planned(world: SimpleNamespace, file: Path, store: Path, **options: Any) -> Plan:
    (plan,) = plans(file, registry=world.registry, store=str(store), **options)
    return plan


def ran(world: SimpleNamespace, file: Path, store: Path, **options: Any) -> Execution:
    return execute(planned(world, file, store, **options), registry=world.registry)


LOSS = {"train": {"method": "levelled", "epochs": 2}, "constrain": [{"hold": "zero", "by": "in-the-loss"}]}


def test_a_law_in_the_loss_has_a_free_twin(world: SimpleNamespace, recipe: Recipes, tmp_path: Path) -> None:
    done = ran(world, recipe(**LOSS), tmp_path)
    numbers = scalars(done.records())
    assert numbers["free/violation/zero"] == 1
    assert numbers["held/violation/zero"] == 0
    told = ["train 0 1", "train 1 0.5", "train-held 0 1", "train-held 1 0.5"]
    assert world.watcher.told == ["ingest", "preprocess", *told, "train", "constrain", "evaluate"]
    # The free twin is the training of a recipe without `constrain`.
    alone = ran(world, recipe(train=LOSS["train"], constrain=None), tmp_path)
    assert alone.stages["train"].reused
    assert alone.stages["constrain"].reused


def test_the_free_twin_can_be_left_out(world: SimpleNamespace, recipe: Recipes, tmp_path: Path) -> None:
    done = ran(world, recipe(**LOSS), tmp_path, only="held")
    assert [line for line in world.watcher.told if line.startswith("train ")] == []
    assert "free/rmse" not in scalars(done.records())
    assert scalars(done.records())["held/violation/zero"] == 0


def test_a_sampler_is_steered_for_the_held_estimate(world: SimpleNamespace, recipe: Recipes, tmp_path: Path) -> None:
    sections = {"train": {"method": "drawn"}, "constrain": [{"hold": "zero", "by": "while-sampling"}]}
    numbers = scalars(ran(world, recipe(**sections), tmp_path).records())
    assert (numbers["free/violation/zero"], numbers["held/violation/zero"]) == (1, 0)


def test_a_site_that_a_method_has_not_is_refused(world: SimpleNamespace, recipe: Recipes, tmp_path: Path) -> None:
    sections = {"train": {"method": "persistence"}, "constrain": [{"hold": "zero", "by": "in-the-loss"}]}
    with pytest.raises(HandshakeError, match="in-the-loss works at the loss site, where persistence cannot"):
        planned(world, recipe(**sections), tmp_path)


def test_an_oracle_needs_the_word_and_carries_it(world: SimpleNamespace, recipe: Recipes, tmp_path: Path) -> None:
    hold = {"hold": "true", "by": "to-the-truth"}
    with pytest.raises(HandshakeError, match="true looks at the truth"):
        planned(world, recipe(constrain=[hold]), tmp_path)
    done = ran(world, recipe(constrain=[{**hold, "oracle": True}]), tmp_path)
    assert scalars(done.records())["held/rmse"] < 1e-6
    assert done.run.tags["thalweg.oracle"] == "true"
    assert {row["metric"] for row in done.table()} >= {"rmse (oracle)"}


def test_a_whole_metric_sees_all_batches(world: SimpleNamespace, recipe: Recipes, tmp_path: Path) -> None:
    done = ran(world, recipe(train={"method": "drawn"}, constrain=None, evaluate=["median-error", "mae"]), tmp_path)
    assert 0 < scalars(done.records())["free/median-error"] < 2


VARIANTS = {
    "loss": [{"hold": "zero", "by": "in-the-loss"}],
    "truth": [{"hold": "true", "by": "to-the-truth", "oracle": True}],
    "both": [{"hold": "zero", "by": "in-the-loss"}, {"hold": "true", "by": "to-the-truth", "oracle": True}],
}


def test_named_lists_are_variants_of_one_run(world: SimpleNamespace, recipe: Recipes, tmp_path: Path) -> None:
    """Each is scored beside the free estimate, by all laws; two that learn alike are one training."""
    file = recipe(train={"method": "levelled", "epochs": 1}, constrain=VARIANTS)
    done = ran(world, file, tmp_path)
    numbers = scalars(done.records())
    violations = {name: numbers[f"{name}/violation/zero"] for name in ("free", *VARIANTS)}
    assert violations["free"] == 1 and violations["loss"] == 0
    assert numbers["truth/rmse"] < 1e-6 < numbers["loss/rmse"] and numbers["both/rmse"] < 1e-6
    assert {name for name in numbers if "violation/" in name and name.count("/") == 2} == {
        f"{name}/violation/{law}" for name in ("free", *VARIANTS) for law in ("zero", "true")
    }
    plan = done.plan
    assert plan.versions == ("free", *VARIANTS)
    assert plan.under("loss").solver_digest(held=True) == plan.under("both").solver_digest(held=True)
    assert len(list((tmp_path / "train").iterdir())) == 2
    assert {"loss/cost/seconds/train", "free/cost/seconds/train"} <= done.stages["train"].numbers.keys()
    assert set(plan.resolved()["constrain"]) == set(VARIANTS)
    head = done.markdown().splitlines()[2]
    assert head == "| metric | free | loss | truth | both | units | count | coverage |"
    # A plain list is the variant `held`, of the same training and estimate.
    alone = ran(world, recipe(train={"method": "levelled", "epochs": 1}, constrain=VARIANTS["loss"]), tmp_path)
    assert alone.stages["train"].reused and alone.stages["constrain"].reused
    assert alone.plan.versions == ("free", "held")


def test_errors_name_the_variant(world: SimpleNamespace, recipe: Recipes, tmp_path: Path) -> None:
    cases: list[tuple[Any, str, str]] = [
        ({"one": [{"hold": "true", "by": "to-the-truth"}]}, "constrain.one[0]", "true looks at the truth"),
        ({"one": [{"hold": "nothing", "by": "to-the-truth"}]}, "constrain.one[0].hold", "'nothing'"),
        ({"one": [{"hold": "zero", "bye": 1, "by": "to-the-truth"}]}, "constrain.one[0]", "'bye'"),
        ({"free": VARIANTS["loss"]}, "constrain", "free"),
    ]
    for constrain, where, text in cases:
        with pytest.raises(RecipeError) as caught:
            planned(world, recipe(train={"method": "levelled"}, constrain=constrain), tmp_path)
        assert where in str(caught.value) and text in str(caught.value) and "named" not in str(caught.value)
