"""What a method keeps: a solver at once, a learner once it has learned."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..cluster import cluster_from
from ..components import Fitted, Learner, Method, Solver, Training
from ..components.signature import Signature
from ..quantities.units import same_units
from ..recipes.registry import Registry
from ..results.estimates import checked, with_owners
from ..results.phases import fitted
from ..results.solver import read_fitted, write_fitted
from ..samples import Samples
from ..samples.elements import joined, owners, taken
from . import learners, pieces, steered
from .components import check_component
from .leads import leads_are_not_shifted
from .report import Check, ensure
from .scenes import BATCH, difference, scenes

QUICK = {"epochs": 1, "batch": 4}
"""What the kit says in `train:`, of the options that a learner reads."""


@dataclass
class Case:
    """A method, and samples to try it on."""

    method: Method
    data: xr.Dataset
    registry: Registry = field(default_factory=Registry.installed)
    """Makes the parts that its options name."""

    @cached_property
    def samples(self) -> Samples:
        return Samples.of(self.data, "test")

    @cached_property
    def inputs(self) -> xr.Dataset:
        return self.samples.inputs(BATCH)

    @cached_property
    def wanted(self) -> Signature:
        return _sized(self.samples.wanted, self.inputs)

    @cached_property
    def gives(self) -> Signature:
        return self.method.gives(self.samples.given, self.wanted)

    def part(self, *, uncertain: bool) -> Signature:
        """The fields that it gives, or what stands beside them for their uncertainty."""
        fields = (each for each in self.gives.fields if self.gives.is_uncertainty(each.name) == uncertain)
        return Signature(tuple(fields), self.gives.sizes)

    @cached_property
    def solver(self) -> Solver:
        if isinstance(self.method, Learner):
            # What a plan refuses is said in its words.
            train = Samples.of(self.data, "train")
            self.method.demand(train.given, train.wanted, {})
        return self.solver_of(self.data)

    def estimate(self) -> xr.Dataset:
        return self.solver.solve(self.inputs.copy(deep=True), self.wanted)

    def estimate_of(self, learned: str) -> xr.Dataset:
        """From the same inputs, what a solver says that learned from these data, or from others."""
        if learned == "itself":
            return self.estimate()
        if learned not in self._taught:
            data = learners.OTHERS[learned](self.data)
            options = {"epochs": 2 * QUICK["epochs"]} if learned == "longer" else {}
            self._taught[learned] = self.solver_of(data, **options).solve(self.inputs.copy(deep=True), self.wanted)
        return self._taught[learned]

    def solver_of(self, data: xr.Dataset, **options: Any) -> Solver:
        """The method's solver, or a learner's after it has learned from `data`."""
        if isinstance(self.method, Solver):
            return self.method
        assert isinstance(self.method, Learner)
        return _learn(self.method, data, self.registry, **options)

    @cached_property
    def _taught(self) -> dict[str, xr.Dataset]:
        return {}


def _sized(wanted: Signature, inputs: xr.Dataset) -> Signature:
    own = {"sample", *owners(inputs)}
    sizes = {dim: inputs.sizes[dim] if dim in own else size for dim, size in wanted.sizes.items()}
    return Signature(wanted.fields, sizes)


def _learn(learner: Learner, data: xr.Dataset, registry: Registry, **more: Any) -> Fitted:
    train = Samples.of(data, "train")
    options = {name: value for name, value in {**QUICK, **more}.items() if name in learner.trains_on}
    with tempfile.TemporaryDirectory() as folder, cluster_from({"threads": {"threads": 1}}).open() as workers:
        return fitted(
            learner,
            Training(
                train=train,
                validate=None,
                wanted=train.wanted,
                options=options,
                folder=Path(folder),
                report=lambda numbers, step: None,  # noqa: ARG005
                workers=workers,
                registry=registry,
            ),
        )


def learns_what_it_declares(case: Case) -> None:
    """Only a `fitted` of the declared class can be read back from its folder."""
    if isinstance(case.method, Learner):
        kind = case.method.fitted
        ensure(
            type(case.solver) is kind, f"`fit` gives a {type(case.solver).__name__}, not the declared {kind.__name__}"
        )
        declared, found = case.gives, case.solver.gives(case.samples.given, case.wanted)
        ensure(declared == found, f"it gives {str(declared)!r}, but what it learns gives {str(found)!r}")


def estimate_is_what_is_wanted(case: Case) -> None:
    fields = case.part(uncertain=False)
    estimate = checked(case.estimate(), fields, by=case.method.name, strict=False)
    for wanted in fields.fields:
        array = estimate[wanted.name]
        dims, said = (tuple(dim for dim in each if dim != "member") for each in (array.dims, wanted.dims))
        ensure(dims == said, f"{wanted.name} has dims {array.dims}, not {wanted.dims}")
        units = str(array.attrs.get("units", wanted.units))
        ensure(same_units(units, wanted.units), f"{wanted.name} has units {units!r}, not {wanted.units!r}")
        # Narrower floats are a choice of the method; wider ones take more room than the plan says.
        fits = (
            array.dtype.kind == np.dtype(wanted.dtype).kind and array.dtype.itemsize <= np.dtype(wanted.dtype).itemsize
        )
        ensure(fits, f"{wanted.name} is {array.dtype}, not {wanted.dtype}; use `astype`")


def estimate_has_the_coordinates_of_the_truth(case: Case) -> None:
    estimate, truth = case.estimate(), case.samples.truth(BATCH)
    own = {dim for each in case.gives.fields for dim in each.dims}
    for dim in truth.dims:
        if dim in truth.coords and dim in own and case.gives.sizes[dim] == truth.sizes[dim]:
            ensure(dim in estimate.coords, f"the estimate has no coordinate {dim!r}")
            found = difference(estimate[dim], truth[dim])
            ensure(not found, f"the coordinate {dim!r} is not the truth's: {found}")


def estimate_is_finite(case: Case) -> None:
    estimate = case.estimate()
    for name in case.part(uncertain=False).names:
        ensure(bool(np.isfinite(estimate[name].values).all()), f"{name} is not finite where every input is")


def uncertainty_is_what_it_declares(case: Case) -> None:
    """`gives` says which variance or factor an estimate has: the plan counts by it."""
    estimate = checked(case.estimate(), case.part(uncertain=True), by=case.method.name, strict=False)
    for name in case.wanted.names:
        for beside in (f"{name}_variance", f"{name}_factor"):
            ensure(beside in case.gives or beside not in estimate, f"{beside} is there, and `gives` does not say so")
        if f"{name}_variance" in case.gives:
            ensure(bool((estimate[f"{name}_variance"] >= 0).all()), f"{name}_variance is negative")


def inputs_are_left_alone(case: Case) -> None:
    given = case.inputs.copy(deep=True)
    case.solver.solve(given, case.wanted)
    found = difference(given, case.inputs)
    ensure(not found, f"it changes its inputs: {found}; copy before writing")


def same_inputs_give_the_same_estimate(case: Case) -> None:
    found = difference(case.estimate(), case.estimate())
    ensure(not found, f"solved twice, {found}; seed what is drawn")


def samples_do_not_see_one_another(case: Case) -> None:
    """Batches are cut as memory allows, so an estimate must not depend on its neighbours."""
    if "sample" not in case.inputs.dims:
        return
    singles = [taken(case.inputs, [i]) for i in range(case.inputs.sizes["sample"])]
    alone = joined([with_owners(case.solver.solve(one, _sized(case.wanted, one)), one) for one in singles])
    together = case.estimate()
    for name in case.part(uncertain=False).names:
        found = difference(alone[name], together[name], tolerance=1e-4)
        ensure(not found, f"solved one by one, {name} {found}")


def comes_back_from_its_folder(case: Case) -> None:
    """What was learned is options and arrays: nothing else of it is kept."""
    if not isinstance(case.solver, Fitted):
        return
    with tempfile.TemporaryDirectory() as folder:
        write_fitted(folder, case.solver, card="", registry=case.registry)
        again = read_fitted(type(case.solver), folder, registry=case.registry)
    found = difference(again.solve(case.inputs.copy(deep=True), case.wanted), case.estimate())
    ensure(not found, f"read back, {found}; keep arrays in `state` and options in fields")


CHECKS: tuple[Check, ...] = (
    learns_what_it_declares,
    estimate_is_what_is_wanted,
    estimate_has_the_coordinates_of_the_truth,
    estimate_is_finite,
    uncertainty_is_what_it_declares,
    inputs_are_left_alone,
    same_inputs_give_the_same_estimate,
    samples_do_not_see_one_another,
    leads_are_not_shifted,
    *learners.CHECKS,
    *steered.CHECKS,
    comes_back_from_its_folder,
)


def check_method(method: Method, data: xr.Dataset | None = None) -> None:
    """All that a method keeps, tried on `data`: a dataset that was cut into samples, with a test split."""
    check_component(method)
    case = Case(method, next(scenes(method.needs())) if data is None else data)
    for each in (*CHECKS, *pieces.CHECKS):
        each(case)
