"""The conformance kit passes parts that keep the contract, and names what each of these breaks."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ConfigDict, PrivateAttr
from thalweg import (
    Component,
    Dataset,
    Fitted,
    Law,
    Learner,
    LinearLaw,
    Loss,
    LossEnforcer,
    OperatorEnforcer,
    OutputEnforcer,
    Registry,
    Rows,
    Signature,
    Solver,
    TensorLaw,
    Training,
    Transform,
)
from thalweg.testing import (
    check,
    components,
    datasets,
    enforcers,
    laws,
    losses,
    methods,
    operators,
    penalties,
    series,
    transforms,
    windowed,
)
from thalweg.testing.enforcers import Share
from thalweg.testing.report import Check, attempt


def failed(checks: Iterable[Check], *arguments: Any) -> set[str]:
    return {each.check for each in attempt("", "", checks, *arguments) if each.ok is not True}


def breaks(kept: type[Component], kind: Any, cases: Mapping[str, type[Component]]) -> pytest.MarkDecorator:
    """Parametrized: a part that keeps all of a kind's checks, and for every one of them a part that breaks it."""
    assert set(cases) == {each.__name__ for each in kind.CHECKS}, "a check without a part that breaks it"
    broken = [pytest.param(each, {name}, id=name) for name, each in cases.items()]
    return pytest.mark.parametrize(("part", "broken"), [pytest.param(kept, set(), id="kept"), *broken])


def named(broken: set[str]) -> set[str]:
    return {each.replace("_", " ") for each in broken}


# Every part


class Plain(Component):
    """Does nothing."""

    size: int = 1


class Bare(Plain):
    __doc__ = None


class Cited(Plain):
    """Cites."""

    cite: ClassVar[str] = "Gauss 1809"


class Overrides(Plain):
    """Overrides."""

    def needs(self) -> Signature:  # type: ignore[misc]
        return Signature()


class Thaws(Plain):
    """Thaws."""

    model_config = ConfigDict(frozen=False)


class Lax(Plain):
    """Takes anything."""

    model_config = ConfigDict(extra="ignore")


class Forgets(Plain):
    """Forgets."""

    def model_post_init(self, context: Any, /) -> None:
        self.__dict__["size"] = self.size + 1


class Locked(Plain):
    """Locked."""

    _lock: Any = PrivateAttr(default_factory=threading.Lock)


@breaks(
    Plain,
    components,
    {
        "has_a_docstring": Bare,
        "citation_is_a_doi": Cited,
        "core_is_not_overridden": Overrides,
        "is_frozen": Thaws,
        "misspelled_options_are_refused": Lax,
        "options_go_through_json": Forgets,
        "pickles": Locked,
    },
)
def test_components(part: type[Component], broken: set[str]) -> None:
    assert failed(components.CHECKS, part(), Registry()) == named(broken)


# Datasets


class Waves(Dataset):
    """Waves."""

    def open(self) -> xr.Dataset:
        return series()

    def fingerprint(self) -> str:
        return "waves"


class Eager(Waves):
    def open(self) -> xr.Dataset:
        return series().load()


class Ragged(Waves):
    def open(self) -> xr.Dataset:
        return series().chunk(time=(5, 40, 3))


class Unitless(Waves):
    def open(self) -> xr.Dataset:
        return series().drop_attrs()


class Restless(Waves):
    def fingerprint(self) -> str:
        return uuid.uuid4().hex


class Drawn(Waves):
    def open(self) -> xr.Dataset:
        return (series() + np.random.default_rng().random()).assign_attrs(series().attrs)


@breaks(
    Waves,
    datasets,
    {
        "opens_lazily": Eager,
        "chunks_can_be_stored": Ragged,
        "fields_have_units": Unitless,
        "fingerprint_is_stable": Restless,
        "opens_the_same_again": Drawn,
    },
)
def test_datasets(part: type[Dataset], broken: set[str]) -> None:
    assert failed(datasets.CHECKS, part()) == named(broken)


# Transforms


class Centred(Transform):
    """Less the mean of all times."""

    def statistics(self, data: xr.Dataset) -> xr.Dataset:
        return data.mean("time")

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.assign({name: (each - statistics[name]).assign_attrs(each.attrs) for name, each in data.items()})


class Reads(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data.compute(), statistics)


class Hoards(Centred):
    def statistics(self, data: xr.Dataset) -> xr.Dataset:
        return data.mean("time").expand_dims(copy=2 * data.sizes["time"])

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics.isel(copy=0))


class Writes(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        data.attrs["centred"] = True
        return super().apply(data, statistics)


class Strips(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics).drop_attrs()


class Peeks(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, data.mean("time"))


@breaks(
    Centred,
    transforms,
    {
        "stays_lazy": Reads,
        "statistics_are_small": Hoards,
        "data_are_left_alone": Writes,
        "fields_have_units": Strips,
        "does_not_look_ahead": Peeks,
    },
)
def test_transforms(part: type[Transform], broken: set[str]) -> None:
    assert failed(transforms.CHECKS, part(), series()) == named(broken)


# Methods


class Still(Solver):
    """The last input, at every lead."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        lead = np.arange(wanted.sizes["lead"]) + 1
        last = inputs[list(wanted.names)].isel(lead=-1, drop=True)
        return last.expand_dims(lead=lead).transpose("sample", "lead", ...)


class Mean(Fitted):
    """The mean that was learned, at every lead."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return Still().solve(inputs, wanted) * 0 + xr.DataArray(self.state["mean"], dims=("y", "x"))


class Learns(Learner):
    """Learns the mean."""

    fitted: ClassVar[type[Fitted]] = Mean

    def fit(self, training: Training) -> Fitted:
        inputs = training.train.inputs(slice(None))
        return Mean().with_state({"mean": inputs["field"].mean(("sample", "lead")).values})


class Else(Learns):
    fitted: ClassVar[type[Fitted]] = Fitted  # type: ignore[type-abstract]


class Empty(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).rename(field="other")


class Early(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        estimate = super().solve(inputs, wanted)
        return estimate.assign_coords(lead=estimate["lead"] - 1)


class Holed(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        estimate = super().solve(inputs, wanted)
        return estimate.where(estimate["lead"] < 4)


class Sure(Still):
    uncertainty: ClassVar[Literal["none", "variance", "factor", "member"]] = "variance"


class Overwrites(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        estimate = super().solve(inputs.copy(deep=True), wanted)
        inputs["field"].values[:] = 0
        return estimate


class Dice(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted) + 1e-6 * np.random.default_rng().random()


class Crowd(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted) - inputs["field"].mean()


class MeanBeside(Mean):
    _mean: Any = PrivateAttr(None)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return Still().solve(inputs, wanted) * 0 + xr.DataArray(self._mean or 0.0)


class Loses(Learns):
    fitted: ClassVar[type[Fitted]] = MeanBeside

    def fit(self, training: Training) -> Fitted:
        learned = MeanBeside()
        learned._mean = float(training.train.inputs(slice(0, 2))["field"].mean())
        return learned


CASES: dict[str, type[Component]] = {
    "learns_what_it_declares": Else,
    "estimate_is_what_is_wanted": Empty,
    "estimate_has_the_coordinates_of_the_truth": Early,
    "estimate_is_finite": Holed,
    "uncertainty_is_what_it_declares": Sure,
    "inputs_are_left_alone": Overwrites,
    "same_inputs_give_the_same_estimate": Dice,
    "samples_do_not_see_one_another": Crowd,
    "comes_back_from_its_folder": Loses,
}


@breaks(Still, methods, CASES)
def test_methods(part: type[Any], broken: set[str]) -> None:
    found = failed(methods.CHECKS, methods.Case(part(), windowed(series())))
    # Without a wanted field there is nothing to compare either.
    assert found >= named(broken) if part is Empty else found == named(broken)


def test_learners() -> None:
    assert not failed(methods.CHECKS, methods.Case(Learns(), windowed(series())))


# Laws


class Above(Law):
    """Nothing is below a floor: the depth below it, in the units of the field."""

    variable: str = "field"

    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        array = fields[self.variable]
        return (0.2 - array).clip(min=0).assign_attrs(array.attrs).to_dataset()


class NoUnits(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        return super().residual(fields, context).drop_attrs()


class Infinite(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        found = super().residual(fields, context)
        return (1 / found.where(found > 0)).assign(field=lambda data: data["field"].assign_attrs(units="1"))


class Clips(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        found = super().residual(fields.copy(deep=True), context)
        np.clip(fields["field"].values, 0.2, None, out=fields["field"].values)
        return found


class Relative(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        return super().residual(fields - fields.mean("sample"), context).map(lambda each: each.assign_attrs(units="1"))


class Matrix(Rows):
    """A matrix over the cells of `field(y, x)`."""

    variable, dims = "field", ("y", "x")

    def __init__(self, matrix: Any) -> None:
        self._matrix, self.count = matrix, len(matrix)

    def block(self, region: Any) -> Any:
        from scipy.sparse import csr_array

        cells = self._matrix.reshape(self.count, 6, 8)[:, region["y"], region["x"]]
        return csr_array(self._cast(cells.reshape(self.count, -1)))

    def _cast(self, cells: Any) -> Any:
        return cells


class Narrow(Matrix):
    def _cast(self, cells: Any) -> Any:
        return cells.astype("float32")


class Normed(Matrix):
    def _cast(self, cells: Any) -> Any:
        return cells / cells.sum(axis=1, keepdims=True)


class Sums(LinearLaw):
    """The sum stays what it was."""

    def rows(self, grid: xr.Dataset) -> Rows:
        return Matrix(np.ones((1, 48)))

    def targets(self, context: xr.Dataset) -> xr.DataArray:
        last = context["field"].sel(lead=0, drop=True)
        return last.astype("float64").sum(("y", "x")).expand_dims("row", -1).assign_attrs(units="1")


class ZeroSum(Sums):
    """There is as much below zero as above it."""

    def targets(self, context: xr.Dataset) -> xr.DataArray:
        return 0 * super().targets(context).assign_attrs(units="1")


class SumsNarrow(Sums):
    def rows(self, grid: xr.Dataset) -> Rows:
        return Narrow(np.ones((1, 48)))


class SumsNormed(Sums):
    def rows(self, grid: xr.Dataset) -> Rows:
        return Normed(np.ones((1, 48)))


class SumsNonlinear(Sums):
    def rows(self, grid: xr.Dataset) -> Rows:
        return Matrix(np.full((1, 48), float(grid["field"].mean())))


class SumsUnitless(Sums):
    def targets(self, context: xr.Dataset) -> xr.DataArray:
        return super().targets(context).drop_attrs()


class SumsTwice(Sums):
    def rows(self, grid: xr.Dataset) -> Rows:
        return Matrix(np.ones((2, 48)))

    def targets(self, context: xr.Dataset) -> xr.DataArray:
        one = super().targets(context)
        return xr.concat([one, one + 1], "row").transpose(..., "row").assign_attrs(units="1")


class Smooth(TensorLaw):
    """Neighbours along x are alike."""

    example: ClassVar[Mapping[str, Any]] = {}

    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        return fields[["field"]].diff("x").map(lambda each: each.assign_attrs(units="1"))

    def tensor_residual(
        self, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return estimate["field"].diff(dim=grid["field"].get_axis_num("x"))


class SmoothElsewhere(Smooth):
    def tensor_residual(
        self, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return estimate["field"].diff(dim=grid["field"].get_axis_num("y"))


@breaks(
    Above,
    laws,
    {
        "residual_has_units": NoUnits,
        "residual_is_finite": Infinite,
        "arguments_are_left_alone": Clips,
        "samples_do_not_see_one_another": Relative,
        "rows_are_a_matrix": SumsNarrow,
        "blocks_are_columns_of_the_whole": SumsNormed,
        "rows_do_not_read_values": SumsNonlinear,
        "targets_are_by_row": SumsUnitless,
        "least_change_meets_the_law": SumsTwice,
        "tensors_have_the_same_residual": SmoothElsewhere,
    },
)
def test_laws(part: type[Any], broken: set[str]) -> None:
    found = failed(laws.CHECKS, laws.Case(part(), windowed(series())))
    # Rows that read values have another least change too.
    assert found >= named(broken) if part is SumsNonlinear else found == named(broken)


@pytest.mark.parametrize("law", [Sums(), Share(), Share(part=0.3), Smooth()], ids=str)
def test_laws_of_other_kinds(law: Law) -> None:
    assert not failed(laws.CHECKS, laws.Case(law, windowed(series())))


# Enforcers


class Nearest(OutputEnforcer):
    """The nearest estimate that obeys linear laws."""

    takes: ClassVar[tuple[type[Law], ...]] = (LinearLaw,)

    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        array = estimate["field"]
        linear = [law for law in laws if isinstance(law, LinearLaw)]
        whole = {dim: slice(0, array.sizes[dim]) for dim in ("y", "x")}
        matrix = np.concatenate([law.rows(estimate).block(whole).toarray() for law in linear])
        residual = xr.concat([law.residual(estimate, context)["field"] for law in linear], "row")
        change = residual.transpose("sample", "lead", "row").values @ np.linalg.pinv(matrix).T
        moved = (array.transpose("sample", "lead", "y", "x").values - change.reshape(array.shape)).astype(array.dtype)
        return estimate.assign(field=array.copy(data=moved))


class Idle(Nearest):
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        return estimate


class OneByOne(Nearest):
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        for law in laws:
            estimate = super().hold(estimate, (law,), context)
        return estimate


class Nameless(Nearest):
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        held = super().hold(estimate, laws, context)
        return held.assign(field=held["field"].drop_attrs())


class Meddles(Nearest):
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        held = super().hold(estimate, laws, context)
        return held.assign({enforcers.BYSTANDER: held[enforcers.BYSTANDER] * 2})


class InPlace(Nearest):
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        estimate["field"] = super().hold(estimate, laws, context)["field"]
        return estimate


class Sharpens(Nearest):
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        return super().hold(estimate.assign(field=(1.2 * estimate["field"]).assign_attrs(units="1")), laws, context)


@breaks(
    Nearest,
    enforcers,
    {
        "holds_each_law": Idle,
        "holds_its_laws_together": OneByOne,
        "shape_is_kept": Nameless,
        "other_variables_are_left_alone": Meddles,
        "estimate_is_left_alone": InPlace,
        "held_twice_is_held_once": Sharpens,
    },
)
def test_enforcers(part: type[OutputEnforcer], broken: set[str]) -> None:
    made = part()
    found = failed(enforcers.CHECKS, enforcers.Case(made, enforcers.laws_for(made), windowed(series())))
    # What does nothing holds nothing together, and what breaks one law by another never comes to rest.
    assert found >= named(broken) if part in (Idle, OneByOne, Meddles) else found == named(broken)


class Pull(LossEnforcer):
    """The mean square of a residual."""

    takes: ClassVar[tuple[type[Law], ...]] = (TensorLaw,)

    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        assert isinstance(law, TensorLaw)
        return law.tensor_residual(estimate, context, grid=grid).square().mean()


class PullEach(Pull):
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return super().penalty(law, estimate, context, grid=grid).expand(2)


class Push(Pull):
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        value = super().penalty(law, estimate, context, grid=grid)
        return 2 * value.detach() + (value.detach() - value)


@breaks(Pull, penalties, {"penalty_is_a_positive_scalar": PullEach, "descending_it_leads_to_the_law": Push})
def test_penalties(part: type[LossEnforcer], broken: set[str]) -> None:
    found = failed(penalties.CHECKS, penalties.Case(part(), Smooth(), windowed(series())))
    assert found >= named(broken) if part is PullEach else found == named(broken)


class Ends(OperatorEnforcer):
    """A network that ends in an output of zero sum."""

    takes: ClassVar[tuple[type[Law], ...]] = (ZeroSum,)

    def wrap(self, module: torch.nn.Module, law: Law) -> torch.nn.Module:
        return Ended(module, self.end)

    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output - output.mean((2, 3), keepdim=True)


class Ended(torch.nn.Module):
    def __init__(self, network: Any, end: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.network, self.end = network, end
        self.given, self.wanted = network.given, network.wanted

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.end(inputs, self.network(inputs))


class EndsFree(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output


class EndsMute(Ends):
    def wrap(self, module: torch.nn.Module, law: Law) -> torch.nn.Module:
        ended = super().wrap(module, law)
        ended.wanted = ended.given
        return ended


class EndsInPlace(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        inputs += 1
        return super().end(inputs, output)


class EndsTogether(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return super().end(inputs, output - output.mean(0))


class EndsDetached(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return super().end(inputs, output.detach())


@breaks(
    Ends,
    operators,
    {
        "output_obeys_for_any_weights_and_inputs": EndsFree,
        "layouts_are_kept": EndsMute,
        "inputs_are_left_alone": EndsInPlace,
        "samples_do_not_see_one_another": EndsTogether,
        "weights_can_be_learned": EndsDetached,
    },
)
def test_operators(part: type[OperatorEnforcer], broken: set[str]) -> None:
    assert failed(operators.CHECKS, operators.Case(part(), ZeroSum(), windowed(series()))) == named(broken)


# Losses


class Squared(Loss):
    """Mean squared error."""

    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((estimate - truth) ** 2).mean()


class PerSample(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((estimate - truth) ** 2).mean((1, 2, 3))


class Rounded(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((estimate.round() - truth) ** 2).mean()


@breaks(Squared, losses, {"value_is_a_finite_scalar": PerSample, "it_can_be_descended": Rounded})
def test_losses(part: type[Loss], broken: set[str]) -> None:
    found = failed(losses.CHECKS, part())
    assert found >= named(broken) if part is PerSample else found == named(broken)


# Plugins


class Plugin:
    """A plugin of the parts that it is made with."""

    def __init__(self, **parts: dict[str, type[Component]]) -> None:
        self._parts = parts

    def registry(self) -> Registry:
        namespace = {f"register_{kind}": self._hook(parts) for kind, parts in self._parts.items()}
        return Registry({"mine": type("Mine", (), namespace)()})

    def _hook(self, parts: dict[str, type[Component]]) -> Callable[[Self, Any], None]:
        from thalweg import hookimpl

        @hookimpl
        def hook(self: Any, register: Any) -> None:  # noqa: ARG001
            for name, part in parts.items():
                register(name, part)

        return hook


def test_a_plugin_is_checked_part_by_part() -> None:
    parts: dict[str, dict[str, type[Component]]] = {
        "datasets": {"waves": Waves},
        "transforms": {"centred": Centred},
        "methods": {"still": Still, "learns": Learns},
        "laws": {"above": Above, "sums": Sums},
        "enforcers": {"nearest": Nearest},
        "losses": {"squared": Squared},
    }
    report = check(Plugin(**parts).registry(), "mine")
    assert report.ok, str(report)
    assert not report.unchecked
    checked = {(each.kind, each.part) for each in report}
    assert {("loss", "squared"), ("law", "sums"), ("enforcer", "nearest"), ("method", "learns")} <= checked
    assert str(report) == f"mine: {len(report.findings)} ok, 0 failed, 0 not checked"


def test_a_failure_is_named() -> None:
    report = check(Plugin(methods={"crowd": Crowd, "still": Still}).registry(), "mine")
    assert not report.ok
    (found,) = (each for each in report.failed if each.check != "has a docstring")
    assert (found.kind, found.part, found.check) == ("method", "crowd", "samples do not see one another")
    assert str(found).startswith("FAILED: method crowd: samples do not see one another: solved one by one, field ")


class Asks(Still):
    """Needs an option."""

    size: int


class Shown(Asks):
    """Needs an option, and shows one."""

    example: ClassVar[dict[str, Any]] = {"size": 3}


class Distant(Still):
    """Needs what the kit does not have."""

    def check(self, given: Signature) -> None:
        from thalweg import HandshakeError

        raise HandshakeError(f"{len(given.fields)} fields", advice="bring a pose graph")


def test_options_without_a_default_need_an_example() -> None:
    report = check(Plugin(methods={"asks": Asks, "shown": Shown}).registry(), "mine")
    (found,) = report.failed
    assert (found.part, found.check) == ("asks", "is made from its example")
    assert "the option 'size' is missing" in found.message


def test_what_cannot_be_tried_is_said() -> None:
    report = check(Plugin(methods={"distant": Distant}).registry(), "mine")
    assert report.ok
    (found,) = report.unchecked
    assert str(found) == (
        "not checked: method distant: takes an example: "
        "nothing of the kit's fits it; call thalweg.testing.check_method with data of your own"
    )
