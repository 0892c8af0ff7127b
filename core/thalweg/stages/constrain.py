"""`constrain`: an estimate of every test sample, free and held, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..components import Hold, Method, OutputEnforcer, Steered
from ..components.calls import call
from ..components.context import context_of
from ..components.holding import handed_on
from ..components.signature import Signature
from ..components.steering import Steering
from ..recipes.plan import Plan
from ..recipes.registry import Registry
from ..results.estimates import checked, estimate_at, with_owners
from ..results.run import Stage
from ..results.solver import solver_of
from ..samples import Prepared
from ..samples.written import Writer
from ..stores.arrays import reading
from ..stores.attempt import Attempt, mark
from ..stores.committed import Committed
from .work import Work

if TYPE_CHECKING:
    import xarray as xr


def run(work: Work) -> Stage:
    """Make the estimates of a run, or find them."""
    plan = work.plan
    if not plan.tested:
        return Stage("constrain", "", plan.steps["constrain"].digest, reused=False)
    there, spent = {}, {}
    for variant in plan.versions:
        committed, there[variant] = _estimated(work, plan.under(variant), variant)
        work.made.estimates[variant], spent[variant] = committed, committed.numbers["seconds"]
    numbers = {f"{variant}/cost/seconds/estimate": value for variant, value in spent.items()}
    numbers["cost/seconds/constrain"] = sum(spent.values())
    last = work.made.estimates[plan.versions[-1]]
    return Stage("constrain", last.url(), plan.steps["constrain"].digest, all(there.values()), numbers)


def _estimated(work: Work, plan: Plan, variant: str) -> tuple[Committed, bool]:
    """The estimate of a plan for one variant."""
    made, held = work.made, variant != "free"
    again = not held or plan.apart
    solver = made.solvers.get(variant if plan.twins else "free")

    def make(attempt: Attempt) -> dict[str, float]:
        samples = made.prepared.samples("test")
        task = Estimating(
            made.prepared,
            plan.method,
            solver.url() if solver else "",
            samples.wanted,
            plan.method.gives(samples.given, samples.wanted),
            plan.holds if held else (),
            "" if again else made.estimates["free"].url(),
            attempt.folder,
            plan.batch,
            work.registry,
        )
        done = attempt.marks()
        todo = [i for i in range(-(-len(samples) // plan.batch)) if f"batch-{i}" not in done]
        label = f"constrain {variant}"
        if 0 in todo:
            # The first batch also lays out the store for the others.
            work.workers.map(task, [0], label=label)
        work.workers.map(task, [i for i in todo if i], label=label, each=work.each("constrain", len(todo)))
        return {}

    return work.commit("estimate", plan.estimate_digest(held=held), make)


@dataclass(frozen=True)
class Estimating:
    """What the tasks of one estimate share. Called with the number of a batch."""

    prepared: Prepared
    method: Method
    solver: str
    """URL of the fitted solver; empty for a method that learns nothing."""
    wanted: Signature
    gives: Signature
    holds: tuple[Hold, ...]
    free: str
    """URL of the free estimate, from which a held one starts; empty to solve."""
    folder: str
    batch: int
    registry: Registry

    def __call__(self, number: int) -> None:
        samples = self.prepared.samples("test")
        at = slice(number * self.batch, min(len(samples), (number + 1) * self.batch))
        with reading(self.prepared.preprocess, self.prepared.ingest):
            inputs = samples.inputs(at)
        sizes = samples.sizes(at)
        wanted, gives = (_of_batch(each, sizes) for each in (self.wanted, self.gives))
        truth = samples.truth(at) if any(hold.oracle for hold in self.holds) else None
        estimate = self._free(inputs, wanted, gives, at, truth)
        for hold, held in handed_on(self.holds, samples.grid):
            if isinstance(hold.enforcer, OutputEnforcer):
                context = context_of(inputs, wanted, truth if hold.oracle else None)
                found = call(hold.enforcer, hold.enforcer.hold, estimate, held, context)
                estimate = checked(found, gives, by=hold.enforcer.name, strict=False)
        Writer(f"{self.folder}/data", samples, self.batch).put(estimate, number)
        mark(self.folder, f"batch-{number}")

    def _free(
        self, inputs: xr.Dataset, wanted: Signature, gives: Signature, at: slice, truth: xr.Dataset | None, /
    ) -> xr.Dataset:
        if self.free:
            return estimate_at(self.free, at)
        solver = solver_of(self.method, self.solver, registry=self.registry)
        given = inputs
        if any(hold.oracle and hold.site == "operator" for hold in self.holds):
            # A law in the network that looks at the truth finds it among what is known.
            given = context_of(inputs, wanted, truth)
        if any(hold.site == "sampling" for hold in self.holds):
            assert isinstance(solver, Steered)
            steering = Steering(
                self.holds,
                self.prepared.samples("test").grid,
                lambda hold: context_of(inputs, wanted, truth if hold.oracle else None),
            )
            estimate = call(solver, solver.sample, given, wanted, steering, name=self.method.name)
        else:
            estimate = call(solver, solver.solve, given, wanted, name=self.method.name)
        return with_owners(checked(estimate, gives, by=self.method.name), inputs)


def _of_batch(signature: Signature, sizes: Mapping[str, int]) -> Signature:
    return replace(signature, sizes={**signature.sizes, **sizes})
