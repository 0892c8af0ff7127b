"""What an enforcer of the `output` site keeps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import xarray as xr

from ..components import (
    Enforcer,
    FaceLaw,
    Law,
    Line,
    LinearLaw,
    OperatorEnforcer,
    OutputEnforcer,
    Rows,
    SamplingEnforcer,
)
from ..components.held import Held
from ..components.rows import applied
from ..components.signature import Signature
from ..samples import Samples
from .candidates import breaking, broken, obeyed, obeying
from .components import check_component
from .report import Check, ensure
from .scenes import BATCH, difference, guess, known, series, windowed

BYSTANDER = "bystander"
"""A variable that no law is about."""


class Share(LinearLaw):
    """The mean over the first `part` of the cells stays what it was at the last input step."""

    variable: str = "field"
    part: float = 1.0

    def rows(self, grid: xr.Dataset) -> Rows:
        array = grid[self.variable]
        dims = tuple(str(dim) for dim in array.dims if dim not in ("sample", "lead", "member"))
        return _ShareRows(self.variable, dims, tuple(array.sizes[dim] for dim in dims), self.part)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        last = context[self.variable].sel(lead=0, drop=True)
        return applied(self.rows(grid), last).reset_coords(drop=True).assign_attrs(last.attrs)


class _ShareRows(Rows):
    count = 1
    gaps = "mean"

    def __init__(self, variable: str, dims: tuple[str, ...], sizes: tuple[int, ...], part: float) -> None:
        self.variable, self.dims = variable, dims
        cells = int(np.prod(sizes))
        within = np.arange(cells) < int(part * cells)
        self._weights = (within / within.sum()).reshape(sizes)

    def block(self, region: object) -> object:
        from scipy.sparse import csr_array

        assert isinstance(region, dict)
        return csr_array(self._weights[tuple(region[dim] for dim in self.dims)].reshape(1, -1))


class Edge(FaceLaw):
    """The first values along a dim stay what they were at the last input step."""

    def lines(self, grid: xr.Dataset) -> tuple[Line, ...]:  # noqa: ARG002
        return (Line("left", (1.0,)),)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        last = context[self.variable].sel(lead=0, drop=True)
        return applied(self.rows(grid), last).reset_coords(drop=True).assign_attrs(last.attrs)


@dataclass
class Case:
    """An enforcer, laws that it takes, and samples to try it on."""

    enforcer: OutputEnforcer
    laws: tuple[Law, ...]
    data: xr.Dataset

    @cached_property
    def samples(self) -> Samples:
        return Samples.of(self.data, "test")

    @cached_property
    def estimate(self) -> xr.Dataset:
        """One that breaks all laws at once if there is such a one; as `breaks` has it."""
        return self.breaks(self.laws) or self._with_uncertainty(guess(self.samples, BATCH))

    def breaks(self, laws: tuple[Law, ...]) -> xr.Dataset | None:
        """An estimate that breaks these laws; None if the kit finds none."""
        found = breaking(laws, guess(self.samples, BATCH), self.context, self.samples.grid)
        made = None if found is None else self._with_uncertainty(found)
        return (
            made
            if made is not None and all(broken(law, made, self.context, self.samples.grid) for law in laws)
            else None
        )

    @cached_property
    def obedient(self) -> xr.Dataset | None:
        """An estimate that obeys all laws before it is held; None if the kit finds none."""
        return obeying(self.laws, self._with_uncertainty(guess(self.samples, BATCH)), self.context, self.samples.grid)

    def _with_uncertainty(self, estimate: xr.Dataset) -> xr.Dataset:
        """The estimate with the kinds of uncertainty that the enforcer uses, and a variable without a law."""
        draw = np.random.default_rng(11)
        first = str(next(iter(estimate.data_vars)))
        for name in [str(each) for each in estimate.data_vars]:
            array = estimate[name]
            if "variance" in self.enforcer.uses:
                estimate[f"{name}_variance"] = array.copy(data=draw.uniform(0.01, 0.04, array.shape))
            elif "factor" in self.enforcer.uses:
                estimate[f"{name}_factor"] = (*array.dims, "rank"), draw.normal(scale=0.1, size=(*array.shape, 80))
            elif "member" in self.enforcer.uses:
                members = [array + draw.normal(scale=0.1, size=array.shape) for _ in range(16)]
                estimate[name] = xr.concat(members, "member").transpose(*array.dims, "member").assign_attrs(array.attrs)
        return estimate.assign({BYSTANDER: estimate[first].copy(data=draw.normal(size=estimate[first].shape))})

    @cached_property
    def context(self) -> xr.Dataset:
        return known(self.samples, *self.laws)

    def hold(self, laws: tuple[Law, ...], estimate: xr.Dataset | None = None) -> xr.Dataset:
        given = self.estimate if estimate is None else estimate
        return self.enforcer.hold(given.copy(deep=True), Held(laws, self.samples.grid), self.context)


def holds_each_law(case: Case) -> None:
    """Of an estimate that breaks it."""
    for law in case.laws:
        given = case.breaks((law,))
        ensure(given is not None, f"no estimate of the kit breaks {law.name}: holding it would show nothing")
        assert given is not None
        obeyed(law, case.hold((law,), given), given, case.context, case.samples.grid)


def holds_its_laws_together(case: Case) -> None:
    """One after the other would break the earlier."""
    held = case.hold(case.laws)
    for law in case.laws:
        obeyed(law, held, case.estimate, case.context, case.samples.grid)


def estimate_stays_finite(case: Case) -> None:
    for given in filter(None, (case.estimate, case.obedient)):
        held = case.hold(case.laws, given)
        for name, array in given.data_vars.items():
            if array.dtype.kind == "f" and name in held:
                lost = int(np.isfinite(array.values).sum() - np.isfinite(held[name].values).sum())
                ensure(lost <= 0 or held[name].shape != array.shape, f"{lost} values of {name!r} are no longer finite")


def what_obeys_is_left_alone(case: Case) -> None:
    """The smallest change of an estimate that obeys its laws is none."""
    if case.obedient is None:
        return
    held = case.hold(case.laws, case.obedient)
    for name in case.samples.wanted.names:
        found = difference(held[name], case.obedient[name], tolerance=1e-4)
        ensure(not found, f"{name}, which obeys {' and '.join(law.name for law in case.laws)} already, {found}")


def shape_is_kept(case: Case) -> None:
    held = case.hold(case.laws)
    for name, array in case.estimate.data_vars.items():
        if str(name).endswith("_factor"):
            continue  # A law takes directions away: the rank may fall.
        ensure(name in held, f"{name!r} is gone")
        ensure(held[name].sizes == array.sizes, f"{name!r} is {dict(held[name].sizes)}, not {dict(array.sizes)}")
        ensure(held[name].dtype == array.dtype, f"{name!r} is {held[name].dtype}, not {array.dtype}")
        found = difference(held[name].coords.to_dataset(), array.coords.to_dataset())
        ensure(not found, f"the coordinates of {name!r} are others: {found}")
        ensure(held[name].attrs == array.attrs, f"the attrs of {name!r} are {held[name].attrs}, not {array.attrs}")


def other_variables_are_left_alone(case: Case) -> None:
    found = difference(case.hold(case.laws)[BYSTANDER], case.estimate[BYSTANDER])
    ensure(not found, f"a variable without a law {found}")


def estimate_is_left_alone(case: Case) -> None:
    given = case.estimate.copy(deep=True)
    case.enforcer.hold(given, Held(case.laws, case.samples.grid), case.context)
    found = difference(given, case.estimate)
    ensure(not found, f"it changes its argument: {found}; use `assign`")


def held_twice_is_held_once(case: Case) -> None:
    once = case.hold(case.laws)
    twice = case.hold(case.laws, once)
    for name in case.samples.wanted.names:
        found = difference(twice[name], once[name], tolerance=1e-4)
        ensure(not found, f"held again, {name} {found}")


CHECKS: tuple[Check, ...] = (
    holds_each_law,
    holds_its_laws_together,
    estimate_stays_finite,
    what_obeys_is_left_alone,
    shape_is_kept,
    other_variables_are_left_alone,
    estimate_is_left_alone,
    held_twice_is_held_once,
)


def laws_for(enforcer: Enforcer, offered: tuple[Law, ...] = ()) -> tuple[Law, ...]:
    """Those of `offered` that it takes; else two laws of the kit, if it takes linear ones, or one of a face."""
    taken = tuple(law for law in offered if isinstance(law, enforcer.takes))
    shares: tuple[Law, ...] = (Share(), Share(part=0.5))
    own = tuple(law for law in shares if isinstance(law, enforcer.takes))
    return taken or own or ((edge,) if isinstance(edge := Edge(variable="field", dim="x"), enforcer.takes) else ())


def check_enforcer(
    enforcer: OutputEnforcer | OperatorEnforcer | SamplingEnforcer,
    laws: tuple[Law, ...] = (),
    *,
    data: xr.Dataset | None = None,
) -> None:
    """All that an enforcer keeps, tried with `laws` on `data`, which was cut into samples with a test split.

    One of the `operator` site is tried with each law by itself, on a network of the kit; one of the `sampling` site on
    a sampler of the kit.
    """
    from . import operators, samplers

    check_component(enforcer)
    laws = laws or laws_for(enforcer)
    if not laws:
        kinds = " or ".join(kind.__name__ for kind in enforcer.takes)
        raise AssertionError(f"the kit has no law of kind {kinds} for it; give `laws`")
    if data is None:
        fields = [field for law in laws for field in law.needs().fields]
        sizes = samplers.SIZES if isinstance(enforcer, SamplingEnforcer) else {}
        data = windowed(series(Signature(tuple({field.name: field for field in fields}.values()))), **sizes)
    if isinstance(enforcer, OperatorEnforcer):
        for each, law in product(operators.CHECKS, laws):
            each(operators.Case(enforcer, law, data))
        return
    if isinstance(enforcer, SamplingEnforcer):
        for each in samplers.CHECKS:
            each(samplers.Case(enforcer, laws, data))
        return
    for each in CHECKS:
        each(Case(enforcer, laws, data))
