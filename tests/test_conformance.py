"""The conformance kit passes parts that keep the contract, and names what each of these breaks."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ConfigDict, Field, PrivateAttr
from thalweg import (
    Component,
    Dataset,
    Fitted,
    Law,
    Learner,
    LinearLaw,
    Loss,
    LossEnforcer,
    Metric,
    OperatorEnforcer,
    OutputEnforcer,
    Registry,
    Rows,
    Signature,
    Solver,
    TensorLaw,
    Totals,
    Training,
    Transform,
    WholeMetric,
)
from thalweg.testing import (
    check,
    check_enforcer,
    components,
    datasets,
    enforcers,
    laws,
    losses,
    methods,
    metrics,
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


Cases = Mapping[str, type[Component] | tuple[type[Component], ...]]


def breaks(kept: type[Component], kind: Any, cases: Cases) -> pytest.MarkDecorator:
    """Parametrized: a part that keeps all of a kind's checks, and for every one of them parts that break it."""
    assert set(cases) == {each.__name__ for each in kind.CHECKS}, "a check without a part that breaks it"
    broken = [
        pytest.param(each, {name}, id=f"{name}-{each.__name__}")
        for name, parts in cases.items()
        for each in (parts if isinstance(parts, tuple) else (parts,))
    ]
    return pytest.mark.parametrize(("part", "broken"), [pytest.param(kept, set(), id="kept"), *broken])


def named(broken: set[str]) -> set[str]:
    return {each.replace("_", " ") for each in broken}


# Every part


class Plain(Component):
    """Does nothing."""

    size: int = Field(1, description="of nothing")


class Undescribed(Plain):
    """Does not say what its option is."""

    other: int = 2


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
        "options_are_described": Undescribed,
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


class Backwards(Waves):
    def open(self) -> xr.Dataset:
        return series().isel(time=slice(None, None, -1))


class Twice(Waves):
    def open(self) -> xr.Dataset:
        data = series()
        return xr.concat([data.isel(time=slice(0, 13)), data.isel(time=slice(12, None))], "time").chunk(time=12)


class Unsorted(Waves):
    def open(self) -> xr.Dataset:
        return series().isel(time=[*range(40), 41, 40, *range(42, 48)]).chunk(time=12)


class BackwardsNumbers(Waves):
    def open(self) -> xr.Dataset:
        return series().assign_coords(time=np.arange(48)[::-1])


class OnePlaceTwice(Waves):
    def open(self) -> xr.Dataset:
        return series().assign_coords(x=np.arange(8) // 2)


class NoPlace(Waves):
    def open(self) -> xr.Dataset:
        return series().assign_coords(x=np.where(np.arange(8) < 7, np.arange(8.0), np.nan))


@breaks(
    Waves,
    datasets,
    {
        "opens_lazily": Eager,
        "chunks_can_be_stored": Ragged,
        "fields_have_units": Unitless,
        "time_runs_forward": (Backwards, Unsorted, BackwardsNumbers, Twice),
        "places_are_unique": (OnePlaceTwice, NoPlace),
        "fingerprint_is_stable": Restless,
        "opens_the_same_again": Drawn,
    },
)
def test_datasets(part: type[Dataset], broken: set[str]) -> None:
    found = failed(datasets.CHECKS, part())
    # A time that is there twice is a place that is there twice.
    assert found == named(broken) | ({"places are unique"} if part is Twice else set())


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


class ReadsAside(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data.compute(scheduler="synchronous").chunk(time=12), statistics)


class Jitters(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics + 1e-3 * np.random.default_rng().random())


class Late(Centred):
    """A step late."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics).shift(time=1)


class LateLabels(Centred):
    """The same, in labels."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        made = super().apply(data, statistics)
        return made.assign_coords(time=made.indexes["time"].shift(1, "MS"))


class EarlyLabels(Centred):
    """A step early."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        made = super().apply(data, statistics)
        return made.assign_coords(time=made.indexes["time"].shift(-1, "MS"))


class Ahead(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return super().apply(data, statistics).shift(time=-1)


class Standardised(Centred):
    """In units of the data, which it has not."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.map(lambda each: (each / statistics[each.name]).assign_attrs(each.attrs))


class Renamed(Centred):
    """Says kelvin of whatever it is."""

    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        return data.assign(field=data["field"].assign_attrs(units="K"))


class Unnamed(Centred):
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        made = super().apply(data, statistics)
        return made.assign(field=made["field"].assign_attrs(units="1"))


@breaks(
    Centred,
    transforms,
    {
        "stays_lazy": (Reads, ReadsAside),
        "statistics_are_small": Hoards,
        "data_are_left_alone": Writes,
        "fields_have_units": Strips,
        "units_follow_the_values": (Standardised, Renamed, Unnamed),
        "gives_the_same_again": Jitters,
        "does_not_look_ahead": (Peeks, Ahead, EarlyLabels),
        "does_not_lag": (Late, LateLabels),
    },
)
def test_transforms(part: type[Transform], broken: set[str]) -> None:
    found = failed(transforms.CHECKS, part(), series())
    # Without units, or with others each time, nothing follows.
    assert found >= named(broken) if part in (Strips, Jitters) else found == named(broken)


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
        made = Still().solve(inputs, wanted) * 0 + xr.DataArray(self.state["mean"], dims=("y", "x"))
        return made.astype("float32")


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
        return (super().solve(inputs, wanted) + 1e-6 * np.random.default_rng().random()).astype("float32")


class Crowd(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted) - inputs["field"].mean()


class MeanBeside(Mean):
    _mean: Any = PrivateAttr(None)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return (Still().solve(inputs, wanted) * 0 + xr.DataArray(self._mean or 0.0)).astype("float32")


class Loses(Learns):
    fitted: ClassVar[type[Fitted]] = MeanBeside

    def fit(self, training: Training) -> Fitted:
        learned = MeanBeside()
        learned._mean = float(training.train.inputs(slice(0, 2))["field"].mean())
        return learned


class Double(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).astype("float64")


class Turned(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).transpose("sample", "lead", "x", "y")


class OtherUnits(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        made = super().solve(inputs, wanted)
        return made.assign(field=made["field"].assign_attrs(units="K"))


class Mirrored(Still):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return super().solve(inputs, wanted).isel(x=slice(None, None, -1))


class Straight(Solver):
    """Goes on along the line through the last two inputs, `late` leads late."""

    late: ClassVar[int] = 0
    damping: ClassVar[float] = 1.0

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        lead = np.arange(wanted.sizes["lead"]) + 1
        reach = np.array([sum(self.damping**k for k in range(1, h + 1)) for h in lead - self.late])
        last, before = (inputs[list(wanted.names)].isel(lead=i, drop=True) for i in (-1, -2))
        made = last + (last - before) * xr.DataArray(reach, {"lead": lead}, "lead")
        return made.transpose("sample", "lead", ...).astype("float32")


class StraightLate(Straight):
    late = 1


class StraightEarly(Straight):
    late = -1


class DampedLate(Straight):
    late, damping = 1, 0.7


class DampedEarly(Straight):
    late, damping = -1, 0.5


class Rolled(Straight):
    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        longer = Signature(wanted.fields, {**wanted.sizes, "lead": wanted.sizes["lead"] + 1})
        made = super().solve(inputs, longer)
        return made.isel(lead=slice(1, None)).assign_coords(lead=made["lead"].values[:-1])


class Moody(Learns):
    def fit(self, training: Training) -> Fitted:
        learned = super().fit(training)
        return learned.with_state({"mean": learned.state["mean"] + np.random.default_rng().random()})


class Dull(Learns):
    def fit(self, training: Training) -> Fitted:
        return Mean().with_state({"mean": np.full((6, 8), 0.5)})


class Stuck(Learns):
    """Scales by its samples, but its epochs change nothing."""

    trains_on: ClassVar[frozenset[str]] = frozenset({"epochs"})


class Spies(Learns):
    def fit(self, training: Training) -> Fitted:
        return Mean().with_state({"mean": training.train.data["field"].mean("time").values})


CASES: Cases = {
    "learns_what_it_declares": Else,
    "estimate_is_what_is_wanted": (Empty, Double, Turned, OtherUnits),
    "estimate_has_the_coordinates_of_the_truth": (Early, Mirrored),
    "estimate_is_finite": Holed,
    "uncertainty_is_what_it_declares": Sure,
    "inputs_are_left_alone": Overwrites,
    "same_inputs_give_the_same_estimate": Dice,
    "samples_do_not_see_one_another": Crowd,
    "leads_are_not_shifted": (StraightLate, StraightEarly, DampedLate, DampedEarly, Rolled),
    "learns_the_same_again": Moody,
    "learns_from_its_samples": (Dull, Stuck),
    "does_not_learn_from_the_test_split": Spies,
    "comes_back_from_its_folder": Loses,
}


@breaks(Still, methods, CASES)
def test_methods(part: type[Any], broken: set[str]) -> None:
    found = failed(methods.CHECKS, methods.Case(part(), windowed(series())))
    # Without a wanted field there is nothing to compare either.
    assert found >= named(broken) if part is Empty else found == named(broken)


@pytest.mark.parametrize("method", [Learns(), Straight()], ids=str)
def test_methods_of_other_kinds(method: Any) -> None:
    assert not failed(methods.CHECKS, methods.Case(method, windowed(series())))


# Laws


class Above(Law):
    """Nothing is below a floor: the depth below it, in the units of the field."""

    variable: str = Field("field", description="what is above")

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


class Silent(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        return super().residual(fields, context).map(lambda each: (0 * each).assign_attrs(units="1"))


class Constant(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        return super().residual(fields, context).map(lambda each: (0 * each + 1).assign_attrs(units="1"))


class InOrder(Above):
    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        found = super().residual(fields, context)
        return found.map(
            lambda each: (each * (np.arange(each.sizes["sample"]) == 0)[:, None, None, None]).assign_attrs(units="1")
        )


class ByChunk(Above):
    """Below the mean of its chunk."""

    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        array = fields["field"].transpose("sample", "lead", "y", "x")
        means = [each.mean(keepdims=True) for each in self._pieces(array)]
        below = np.concatenate(
            [(mean - each).clip(min=0) for mean, each in zip(means, self._pieces(array), strict=True)], axis=3
        )
        return array.copy(data=below).to_dataset()

    def _pieces(self, array: xr.DataArray) -> list[Any]:
        edges = np.cumsum([0, *(array.chunksizes["x"] if array.chunks else (8,))])
        return [array.values[..., low:high] for low, high in itertools.pairwise(edges)]


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


class SmoothAbove(TensorLaw):
    """Nothing is below a floor, with tensors too."""

    def residual(self, fields: xr.Dataset, context: xr.Dataset) -> xr.Dataset:
        return Above().residual(fields, context)

    def tensor_residual(
        self, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return (0.2 - estimate["field"]).clamp(min=0)


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
        "something_breaks_it": (Silent, Constant),
        "arguments_are_left_alone": Clips,
        "samples_do_not_see_one_another": (Relative, InOrder),
        "chunks_do_not_matter": ByChunk,
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
    # Rows that read values have another least change too, and a chunk holds some of the samples.
    assert found >= named(broken) if part in (SumsNonlinear, ByChunk) else found == named(broken)


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


class Blanks(Nearest):
    """Whatever holds for zero."""

    takes: ClassVar[tuple[type[Law], ...]] = (Above,)

    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        array = estimate["field"]
        return estimate.assign(field=(array * np.nan).assign_attrs(array.attrs))


class Holes(Nearest):
    """One value of many is lost."""

    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        held = super().hold(estimate, laws, context)
        array = held["field"]
        return held.assign(field=array.where(array < array.max()).assign_attrs(array.attrs))


class Flattens(OutputEnforcer):
    """Raises everything, where little would do."""

    takes: ClassVar[tuple[type[Law], ...]] = (Above,)

    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        array = estimate["field"]
        return estimate.assign(field=array.copy(data=np.full_like(array.values, 0.5)))


class Clip(Flattens):
    """Raises what is below."""

    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        return estimate.assign(field=estimate["field"].clip(min=0.2).assign_attrs(estimate["field"].attrs))


class ClipIdle(Clip):
    """Does nothing, to a field that obeys already."""

    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        return estimate


class Widens(Nearest):
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        held = super().hold(estimate, laws, context)
        return held.assign(field=held["field"].astype("float64"))


class Moves(Nearest):
    def hold(self, estimate: xr.Dataset, laws: tuple[Law, ...], context: xr.Dataset) -> xr.Dataset:
        held = super().hold(estimate, laws, context)
        return held.assign_coords(x=held["x"] + 1)


@breaks(
    Nearest,
    enforcers,
    {
        "holds_each_law": (Idle, Holes),
        "holds_its_laws_together": OneByOne,
        "estimate_stays_finite": Holes,
        "what_obeys_is_left_alone": Sharpens,
        "shape_is_kept": (Nameless, Widens, Moves),
        "other_variables_are_left_alone": Meddles,
        "estimate_is_left_alone": InPlace,
        "held_twice_is_held_once": Sharpens,
    },
)
def test_enforcers(part: type[OutputEnforcer], broken: set[str]) -> None:
    made = part()
    found = failed(enforcers.CHECKS, enforcers.Case(made, enforcers.laws_for(made), windowed(series())))
    # What does nothing holds nothing together, and what breaks one law by another never comes to rest.
    several = (Idle, OneByOne, Meddles, Holes, Sharpens, Moves)
    assert found >= named(broken) if part in several else found == named(broken)


@pytest.mark.bad_input("authors", "an enforcer that {id}, for a law that the kit's fields obey already")
@pytest.mark.parametrize(
    ("part", "broken"),
    [
        pytest.param(Clip, set(), id="holds it"),
        pytest.param(ClipIdle, {"holds each law", "holds its laws together"}, id="does nothing"),
        pytest.param(
            Blanks,
            {"holds each law", "holds its laws together", "estimate stays finite", "what obeys is left alone"},
            id="writes NaN",
        ),
        pytest.param(Flattens, {"what obeys is left alone"}, id="replaces the field by a constant"),
    ],
)
def test_an_estimate_breaks_the_law_before_it_is_held(part: type[OutputEnforcer], broken: set[str]) -> None:
    data = windowed(series())
    assert failed(enforcers.CHECKS, enforcers.Case(part(), (Above(),), data)) == broken
    if broken:
        with pytest.raises(AssertionError):
            check_enforcer(part(), laws=(Above(),))
    else:
        check_enforcer(part(), laws=(Above(),))


def test_a_law_that_nothing_breaks_shows_nothing() -> None:
    found = [*attempt("", "", enforcers.CHECKS, enforcers.Case(Clip(), (Silent(),), windowed(series())))]
    (wrong,) = (each for each in found if each.check == "holds each law")
    assert wrong.message == "no estimate of the kit breaks Silent: holding it would show nothing"


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


class PullToo(Pull):
    """Pulls at what obeys."""

    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return super().penalty(law, estimate, context, grid=grid) + 1e-3


class PullDown(Pull):
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return super().penalty(law, estimate, context, grid=grid) - 100


class PullNaN(Pull):
    def penalty(
        self, law: Law, estimate: Mapping[str, torch.Tensor], context: xr.Dataset, *, grid: xr.Dataset
    ) -> torch.Tensor:
        return super().penalty(law, estimate, context, grid=grid) * float("nan")


@breaks(
    Pull,
    penalties,
    {
        "penalty_is_a_positive_scalar": (PullEach, PullDown, PullNaN),
        "penalty_is_zero_where_the_law_holds": PullToo,
        "descending_it_leads_to_the_law": Push,
    },
)
def test_penalties(part: type[LossEnforcer], broken: set[str]) -> None:
    found = failed(penalties.CHECKS, penalties.Case(part(), SmoothAbove(), windowed(series())))
    assert found >= named(broken) if part in (PullEach, PullDown, PullNaN) else found == named(broken)


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


class EndsNaN(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return super().end(inputs, output) * float("nan")


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
        "output_obeys_for_any_weights_and_inputs": (EndsFree, EndsNaN),
        "layouts_are_kept": EndsMute,
        "inputs_are_left_alone": EndsInPlace,
        "samples_do_not_see_one_another": EndsTogether,
        "weights_can_be_learned": EndsDetached,
    },
)
def test_operators(part: type[OperatorEnforcer], broken: set[str]) -> None:
    found = failed(operators.CHECKS, operators.Case(part(), ZeroSum(), windowed(series())))
    assert found >= named(broken) if part is EndsNaN else found == named(broken)


class EndsAbove(Ends):
    """A network that ends above a floor."""

    takes: ClassVar[tuple[type[Law], ...]] = (Above,)

    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output.clamp(min=0.2) + 0.01 * (output - output.detach())


class EndsAnywhere(EndsAbove):
    """Of bounded networks, most are above a floor that is low."""

    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output


@pytest.mark.parametrize(
    ("part", "broken"), [(EndsAbove, set()), (EndsAnywhere, {"output obeys for any weights and inputs"})]
)
def test_a_network_breaks_the_law_before_it_is_wrapped(part: type[OperatorEnforcer], broken: set[str]) -> None:
    assert failed(operators.CHECKS, operators.Case(part(), Above(), windowed(series()))) == broken


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


class Negative(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return -((estimate - truth) ** 2).mean()


class Shrinks(Squared):
    """Asks for zero as well, whatever is known."""

    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return super().value(estimate, truth) + 0.01 * (estimate**2).mean()


class Undefined(Squared):
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((estimate - truth) ** 2).mean() / 0


@breaks(
    Squared,
    losses,
    {
        "value_is_a_finite_scalar": (PerSample, Undefined),
        "it_can_be_descended": Rounded,
        "truth_is_best": Negative,
        "unknown_cells_pull_nothing": Shrinks,
    },
)
def test_losses(part: type[Loss], broken: set[str]) -> None:
    found = failed(losses.CHECKS, part())
    # What is no number, or no function, cannot be best; what asks for zero is not least at the truth.
    assert found >= named(broken) if part in (PerSample, Undefined, Rounded, Shrinks) else found == named(broken)


# Metrics


class Near(Metric):
    """How often an estimate is near the truth."""

    higher_is_better: ClassVar[bool | None] = True
    best: ClassVar[float | None] = 1.0

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        error = abs(estimate["field"] - truth["field"])
        return {"near": (error < 0.1).where(error.notnull())}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["near"]


class NearOrMissing(Near):
    """Missing is far away."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"near": abs(estimate["field"] - truth["field"]) < 0.1}


class MissingIsNear(Near):
    """Missing is no error."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"near": ~(abs(estimate["field"] - truth["field"]) >= 0.1)}


class MissingIsZero(Near):
    """Missing truth is zero."""

    best: ClassVar[float | None] = None

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"near": abs(estimate["field"].fillna(0) - truth["field"].fillna(0))}


class MissingSpoils(Near):
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        error = abs(estimate["field"] - truth["field"])
        whole = [dim for dim in error.dims if dim not in ("sample", "lead")]
        return {
            "near": Totals((error < 0.1).where(error.notnull()).sum(whole, skipna=False), error.notnull().sum(whole))
        }


class Unscored(Near):
    best: ClassVar[float | None] = None

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["near"] * np.nan


class Always(Near):
    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return 0 * mean["near"] + 1


class WrongSign(Near):
    higher_is_better: ClassVar[bool | None] = False


class WrongBest(Near):
    best: ClassVar[float | None] = 0.5


class KeepsSamples(WholeMetric):
    """The error of each sample."""

    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        return abs(estimate["field"] - truth["field"]).astype("float64").mean(("lat", "lon"))


class ReadsValues(Near):
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return super().statistics(estimate.compute(), truth.compute())


class ByCut(Near):
    """Near the mean of whatever samples come together."""

    best: ClassVar[float | None] = None

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        return {"near": estimate["field"] - truth["field"].mean("sample")}


class Touches(Near):
    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        estimate.attrs["scored"] = True
        return super().statistics(estimate, truth)


class ByBlock(Near):
    """Of each chunk alone."""

    best: ClassVar[float | None] = None

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, Any]:
        error = estimate["field"] - truth["field"]
        own = error.copy(
            data=error.data
            - (error.data.map_blocks(lambda block: block * 0 + block.mean()) if error.chunks else error.data.mean())
        )
        return {"near": abs(own)}


class First(WholeMetric):
    """The error of the first sample."""

    def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
        return abs(estimate["field"] - truth["field"]).isel(sample=0, drop=True).astype("float64").mean(("lat", "lon"))


@breaks(
    Near,
    metrics,
    {
        "data_are_left_alone": Touches,
        "scores_by_lead": KeepsSamples,
        "score_is_a_number": Unscored,
        "perfect_is_best": WrongBest,
        "wrong_is_worse": (Always, WrongSign),
        "order_of_samples_does_not_matter": First,
        "cuts_do_not_matter": ByCut,
        "chunks_do_not_matter": ByBlock,
        "stays_lazy": ReadsValues,
        "missing_is_missing_in_either": MissingIsZero,
        "missing_truth_is_not_counted": (NearOrMissing, MissingIsNear, MissingIsZero, MissingSpoils),
    },
)
def test_metrics(part: type[Any], broken: set[str]) -> None:
    found = failed(metrics.CHECKS, part(), *metrics.example(Signature()))
    alone = (Near, Always, WrongSign, First, NearOrMissing, MissingIsNear, Touches)
    assert found == named(broken) if part in alone else found >= named(broken)


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

    size: int = Field(description="of nothing")


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
