"""A law at each of the four sites: what is trained twice, what is shared, what is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import thalweg
import xarray as xr
from thalweg import (
    Denoised,
    Draw,
    Fields,
    Fitted,
    HandshakeError,
    Held,
    Law,
    Learner,
    LossEnforcer,
    Noise,
    OutputEnforcer,
    Registry,
    SamplingEnforcer,
    Signature,
    Steered,
    Steering,
    Training,
    WholeMetric,
    hookimpl,
    scalars,
)
from thalweg.errors import RecipeError
from thalweg.pipeline import Execution, execute
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans
from thalweg.results.forecasts import Forecasting
from thalweg.stores.store import Store

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
    """Draws 1 from a state of 2: one step."""

    def sample(self, inputs: xr.Dataset, wanted: Signature, steering: Steering | None) -> xr.Dataset:
        import torch

        (name,) = wanted.names
        made = constant(inputs, wanted, 2.0)
        start = torch.from_numpy(made[name].values)
        now = Denoised.of(
            lambda z: 0.5 * z,
            start.flatten(1),
            decode=lambda x: Fields({name: x.reshape(start.shape)}, {name: tuple(map(str, made[name].dims))}),
            noise=Noise(0.5, 0.5, last=True),
            draw=Draw.of(inputs, seed=0),
        )
        if steering is None:
            return constant(inputs, wanted, float(now.estimate.detach()[0, 0]))
        # In two pieces, as a large batch would be.
        halves = (slice(0, 1), slice(1, None))[: len(start)]
        pieces = [
            steering(replace(now, estimate=now.estimate[at], decode=lambda x, at=at: part(now, x, at)), samples=at)  # type: ignore[misc]
            for at in halves
        ]
        return made.assign({name: made[name].copy(data=torch.cat(pieces).reshape(start.shape).numpy())})


def part(state: Denoised, x: Any, at: slice) -> Fields:
    """The fields of some samples."""
    ((name, like),) = state.decode(state.estimate).values.items()
    return Fields({name: x.reshape(like[at].shape)}, state.decode(state.estimate).dims)


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
    """Subtracts what is wrong."""

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        assert list(held.grid.data_vars) == ["temperature"] and "latitude" in held.grid.coords
        assert "lead" in held.grid.dims and "sample" not in held.grid.dims
        return {"zero": 0 * context["temperature"].isel(lead=-1).values}

    def steer(self, state: Denoised, held: Held, known: Mapping[str, Any]) -> Any:
        assert [law.name for law in held.laws] == ["zero"] and state.noise.last
        (field,) = state.decode(state.estimate).values.values()
        assert len(known["zero"]) == len(field)
        return state.estimate - (field + known["zero"][:, None]).flatten(1)


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
    done = ran(world, recipe(**sections), tmp_path)
    numbers = scalars(done.records())
    assert (numbers["free/violation/zero"], numbers["held/violation/zero"]) == (1, 0)
    title = f"{done.run.name}-{done.run.digest[:10]}"
    made, free = (
        thalweg.forecast(title, variant=each, store=tmp_path, registry=world.registry) for each in (None, "free")
    )
    # Undone is an anomaly.
    assert float(abs(free["temperature"] - made["temperature"] - 1).max()) < 1e-5


def test_a_method_that_does_not_sample_cannot_be_steered(
    world: SimpleNamespace, recipe: Recipes, tmp_path: Path
) -> None:
    sections = {"train": {"method": "levelled"}, "constrain": [{"hold": "zero", "by": "while-sampling"}]}
    with pytest.raises(HandshakeError) as caught:
        planned(world, recipe(**sections), tmp_path)
    text = str(caught.value)
    assert "while-sampling works at the sampling site, where levelled cannot hold a law" in text
    assert "constrain[0]" in text and "allowed: loss, output" in text


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
    asked = Forecasting.of(Path(done.run.folder).name, Store(tmp_path))
    assert asked.variants == plan.versions
    assert asked.solver("loss") == asked.solver("both") != asked.solver("truth") == asked.solver("free")
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
