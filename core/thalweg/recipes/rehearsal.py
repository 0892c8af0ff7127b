"""Parts are tried on the coordinates of one test sample: what these alone decide is refused before a value is read.

A sample's fields are ones, in Dask's chunks where a part only describes what it would compute. A refusal
(`HandshakeError`, `OptionError`) is the plan's; whatever else a part says of ones is left to the run.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..components import (
    DifferentiableLaw,
    Hold,
    Law,
    Learner,
    LinearLaw,
    LossEnforcer,
    Metric,
    OperatorEnforcer,
    OutputEnforcer,
    SamplingEnforcer,
)
from ..components.context import context_of
from ..components.grid import fields_of, grid_of
from ..components.held import Held
from ..components.holding import handed_on
from ..components.signature import Signature
from ..components.system import System
from ..errors import HandshakeError, OptionError
from ..samples import Samples
from .plan import Plan

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger("thalweg")

ROOM = 64 * 2**20
"""Bytes of one sample above which laws are not tried: what they know of a batch is computed."""


def rehearse(plan: Plan, test: Samples, *, gives: Signature, learned: Collection[str]) -> None:
    """Raise `HandshakeError` or `OptionError`, with the place in the recipe, for what coordinates alone decide.

    `learned` are the variants whose networks are there: they were wrapped. Not of samples of unlike size, nor of
    metrics that take all data at once: they compute at once, with values.
    """
    if not len(test) or test.index.ragged:
        return
    scene = Scene(test, gives)
    for i, (label, metric) in enumerate(plan.metrics.items()):
        if isinstance(metric, Metric):
            _tried(f"evaluate[{i}].{label}", metric.statistics, scene.estimate, scene.truth)
    if scene.nbytes > ROOM:
        return
    for name, holds in plan.variants.items():
        place = "constrain" if list(plan.variants) == ["held"] else f"constrain.{name}"
        for hold, held in handed_on(holds, scene.grid):
            for law in hold.laws:
                _tried(f"{place}[{hold.entry(law)}].hold.{law.name}", _law, law, scene, oracle=hold.oracle)
            where = f"{place}[{hold.entry(hold.laws[0])}].by.{hold.enforcer.name}"
            _tried(where, _hold, hold, held, scene)
            if isinstance(plan.method, Learner) and name not in learned:
                _tried(where, _wrap, hold, held, scene, plan=plan)


@dataclass(frozen=True)
class Scene:
    """One test sample of ones on its own coordinates."""

    test: Samples
    gives: Signature

    @cached_property
    def given(self) -> xr.Dataset:
        return _ones(self.test.filled([0], {}, side="inputs"))

    @cached_property
    def truth(self) -> xr.Dataset:
        return _ones(self.test.filled([0], {}, side="truth"), chunked=True)

    @cached_property
    def wanted(self) -> Signature:
        return Signature.of(self.truth)

    @cached_property
    def estimate(self) -> xr.Dataset:
        sizes = {**self.gives.sizes, **self.wanted.sizes}
        if "member" in sizes:
            # Two are as good as many.
            sizes["member"] = min(2, sizes["member"])
        fields = fields_of(Signature(self.gives.fields, sizes), self.truth)
        return _ones(fields, chunked=True).assign_coords(self.truth.coords)

    @cached_property
    def grid(self) -> xr.Dataset:
        return grid_of(self.test.filled([0], {}, side="truth"), _ones(self.test.still))

    @property
    def nbytes(self) -> int:
        return int(self.given.nbytes + self.estimate.nbytes)

    def context(self, *, oracle: bool) -> xr.Dataset:
        """What laws know."""
        return context_of(self.given, self.wanted, _ones(self.truth) if oracle else None)


def _law(law: Law, scene: Scene, *, oracle: bool) -> None:
    """Its rows, and what it knows of a batch."""
    context = scene.context(oracle=oracle)
    if isinstance(law, LinearLaw):
        System.of([law], scene.grid).targets(context, scene.grid)
    elif isinstance(law, DifferentiableLaw):
        law.known(context, scene.grid)
    else:
        law.residual(_ones(scene.estimate), context, scene.grid)


def _hold(hold: Hold, held: Held, scene: Scene, /) -> None:
    """What it knows of a batch; of an output, the whole of it."""
    enforcer, context = hold.enforcer, scene.context(oracle=hold.oracle)
    if isinstance(enforcer, OutputEnforcer):
        # In memory, as in a run.
        enforcer.hold(_ones(scene.estimate), held, context)
    elif isinstance(enforcer, LossEnforcer | OperatorEnforcer | SamplingEnforcer):
        enforcer.known(held, context)


def _wrap(hold: Hold, held: Held, scene: Scene, /, *, plan: Plan) -> None:
    """Around the network, if it can be."""
    if isinstance(hold.enforcer, OperatorEnforcer):
        assert isinstance(plan.method, Learner)
        given, wanted = scene.test.given, scene.test.wanted
        plan.method.check_wrap(hold.enforcer, held, given=given, wanted=wanted, options=plan.options)


def _ones(data: xr.Dataset, *, chunked: bool = False) -> xr.Dataset:
    """The same with ones over empty memory, or in Dask's chunks; what is no number is left as it is."""
    import numpy as np

    def one(each: xr.Variable) -> Any:
        if chunked:
            import dask.array as da

            return da.ones(each.shape, each.dtype, chunks=-1)
        return np.broadcast_to(np.ones((), each.dtype), each.shape)

    numbers = {name: each.variable for name, each in data.data_vars.items() if each.dtype.kind in "biuf"}
    return data.assign({name: each.copy(data=one(each)) for name, each in numbers.items()})


def _tried(where: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    import numpy as np

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            function(*arguments, **named)
    except (HandshakeError, OptionError) as error:
        # A part may say which of its laws it is about.
        error.where = ": ".join(filter(None, (where, error.where)))
        raise
    except Exception as error:  # Of ones, not of data.
        log.debug("%s was not tried on ones: %r", where, error)
