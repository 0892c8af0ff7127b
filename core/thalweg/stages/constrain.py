"""The tasks of `constrain`: an estimate of every test sample, free and held, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..components import Hold, Method, OutputEnforcer, Steered
from ..components.calls import call
from ..components.signature import Signature
from ..errors import EstimateError
from ..samples import Samples
from ..samples.prepared import Prepared
from ..stores.arrays import lay_out, put, read, reading
from ..stores.attempt import mark
from .train import solver_of

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Estimating:
    """What the tasks of one estimate share. Called with the number of a batch."""

    prepared: Prepared
    method: Method
    solver: str
    """URL of the fitted solver; empty for a method that learns nothing."""
    wanted: Signature
    holds: tuple[Hold, ...]
    free: str
    """URL of the free estimate, from which a held one starts; empty to solve."""
    folder: str
    batch: int

    def __call__(self, number: int) -> None:
        samples = self.prepared.samples("test")
        at = slice(number * self.batch, min(len(samples), (number + 1) * self.batch))
        with reading(self.prepared.preprocess, self.prepared.ingest):
            inputs = samples.inputs(at)
        wanted = replace(self.wanted, sizes={**self.wanted.sizes, "sample": at.stop - at.start})
        estimate = self._free(inputs, wanted, at)
        for hold in self.holds:
            if isinstance(hold.enforcer, OutputEnforcer):
                context = context_of(inputs, wanted, samples.truth(at) if hold.oracle else None)
                held = call(hold.enforcer, hold.enforcer.hold, estimate, hold.laws, context)
                estimate = checked(held, wanted, by=hold.enforcer.name)
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

    def _free(self, inputs: xr.Dataset, wanted: Signature, at: slice) -> xr.Dataset:
        if self.free:
            with reading(self.free):
                data = read(self.free)
                return (data.isel(sample=at) if "sample" in data.dims else data).load()
        solver = solver_of(self.method, self.solver)
        steering = tuple(hold for hold in self.holds if hold.site == "sampling")
        if steering:
            assert isinstance(solver, Steered)
            solver = call(solver, solver.steered, steering, name=self.method.name)
        estimate = call(solver, solver.solve, inputs, wanted, name=self.method.name)
        return checked(estimate, wanted, by=self.method.name)


def context_of(inputs: xr.Dataset, wanted: Signature, truth: xr.Dataset | None = None) -> xr.Dataset:
    """What a law may know: the inputs, the leads that are estimated (`target_lead`), and for an oracle `truth_NAME`."""
    context = inputs
    if "lead" in wanted.sizes:
        context = context.assign_coords(target_lead=range(1, wanted.sizes["lead"] + 1))
    if truth is None:
        return context
    known = truth.rename(lead="target_lead") if "lead" in truth.dims else truth
    return context.assign({f"truth_{name}": known[name].variable for name in truth.data_vars})


def checked(estimate: xr.Dataset, wanted: Signature, *, by: str) -> xr.Dataset:
    """The estimate, if it is one: the wanted variables with the wanted sizes. Raises `EstimateError`."""
    for field in wanted.fields:
        if field.name not in estimate:
            raise EstimateError(f"{by} gives no {field.name!r}", allowed=str(wanted), advice=f"return it from {by}")
        array = estimate[field.name]
        if not set(field.dims) <= set(map(str, array.dims)):
            raise EstimateError(f"{by} gives {field.name!r} with dims {array.dims!r}", allowed=f"dims {field.dims!r}")
        for dim in field.dims:
            if array.sizes[dim] != wanted.sizes[dim]:
                raise EstimateError(
                    f"{by} gives {field.name!r} with {array.sizes[dim]} along {dim!r}", allowed=f"{wanted.sizes[dim]}"
                )
    return estimate


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
