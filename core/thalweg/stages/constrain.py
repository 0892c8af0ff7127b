"""`constrain`: an estimate of every test sample, free and held, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..components import Hold, Method, OutputEnforcer, Steered
from ..components.calls import call
from ..components.signature import Signature
from ..recipes.registry import Registry
from ..results.estimates import checked, context_of
from ..results.run import Stage
from ..results.solver import solver_of
from ..samples import Prepared, Samples
from ..stores.arrays import lay_out, put, read, reading
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
        committed, there[variant] = _estimated(work, held=variant == "held")
        work.made.estimates[variant], spent[variant] = committed, committed.numbers["seconds"]
    numbers = {f"{variant}/cost/seconds/estimate": value for variant, value in spent.items()}
    numbers["cost/seconds/constrain"] = sum(spent.values())
    last = work.made.estimates[plan.versions[-1]]
    return Stage("constrain", last.url(), plan.steps["constrain"].digest, all(there.values()), numbers)


def _estimated(work: Work, *, held: bool) -> tuple[Committed, bool]:
    plan, made = work.plan, work.made
    steered = any(hold.site == "sampling" for hold in plan.holds)
    again = not held or plan.twins or steered
    solver = made.solvers.get("held" if held and plan.twins else "free")

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
        label = f"constrain {'held' if held else 'free'}"
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
        wanted, gives = (_of_batch(each, at.stop - at.start) for each in (self.wanted, self.gives))
        estimate = self._free(inputs, wanted, gives, at)
        for hold in self.holds:
            if isinstance(hold.enforcer, OutputEnforcer):
                context = context_of(inputs, wanted, samples.truth(at) if hold.oracle else None)
                held = call(hold.enforcer, hold.enforcer.hold, estimate, hold.laws, context)
                estimate = checked(held, gives, by=hold.enforcer.name, strict=False)
        data = _sample_first(estimate)
        if number == 0:
            lay_out(
                f"{self.folder}/data",
                _whole(data, samples),
                large={str(name): array.shape for name, array in data.data_vars.items()},
            )
        for name, array in data.data_vars.items():
            region = tuple(at if dim == "sample" else slice(0, array.sizes[dim]) for dim in array.dims)
            put(f"{self.folder}/data", str(name), region, array.values)
        mark(self.folder, f"batch-{number}")

    def _free(self, inputs: xr.Dataset, wanted: Signature, gives: Signature, at: slice, /) -> xr.Dataset:
        if self.free:
            with reading(self.free):
                data = read(self.free)
                return (data.isel(sample=at) if "sample" in data.dims else data).load()
        solver = solver_of(self.method, self.solver, registry=self.registry)
        steering = tuple(hold for hold in self.holds if hold.site == "sampling")
        if steering:
            assert isinstance(solver, Steered)
            solver = call(solver, solver.steered, steering, name=self.method.name)
        estimate = call(solver, solver.solve, inputs, wanted, name=self.method.name)
        return checked(estimate, gives, by=self.method.name)


def _of_batch(signature: Signature, count: int) -> Signature:
    return replace(signature, sizes={**signature.sizes, "sample": count})


def _sample_first(estimate: xr.Dataset) -> xr.Dataset:
    return estimate.transpose("sample", ...) if "sample" in estimate.dims else estimate


def _whole(batch: xr.Dataset, samples: Samples) -> xr.Dataset:
    """The layout of all batches, from the first."""
    import dask.array as da

    if "sample" not in batch.dims:
        return batch
    sizes = {**batch.sizes, "sample": len(samples)}
    large = {
        name: (array.dims, da.zeros([sizes[dim] for dim in array.dims], dtype=array.dtype), array.attrs)
        for name, array in batch.data_vars.items()
    }
    whole = batch.drop_vars([name for name, each in batch.variables.items() if "sample" in each.dims])
    return whole.assign(large).assign_coords(samples.coordinates("truth"))
