"""What a solver keeps whose estimate is drawn step by step: laws are asked at each, and what they leave is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from pydantic import PrivateAttr

from ..components import Fields, Hold, SamplingEnforcer, Steered
from ..components.context import context_of
from ..components.denoised import Denoised
from ..components.held import Held
from ..components.steering import Steering
from .report import Check, ensure
from .samplers import NothingAtAll
from .scenes import difference

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1e-5
"""Of the largest value."""


class Watches(SamplingEnforcer):
    """Moves nothing, and keeps the fields of each last step."""

    _last: list[Fields] = PrivateAttr(default_factory=list)

    @property
    def last(self) -> list[Fields]:
        return self._last

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:  # noqa: ARG002
        return {}

    def steer(self, state: Denoised, held: Held, known: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        estimate = state.estimate.detach()
        if state.noise.last:
            self._last.append(state.decode(estimate))
        return estimate


def _watched(case: Any) -> tuple[xr.Dataset, list[Fields]]:
    """What it draws under a law that is true, and the fields of its last steps."""
    (name, *_) = case.wanted.names
    watch = Watches()
    hold = Hold((NothingAtAll(variable=name),), watch)
    context = context_of(case.inputs, case.wanted)
    found = case.solver.sample(
        case.inputs.copy(deep=True),
        case.wanted,
        Steering([hold], case.samples.grid, lambda hold: context),  # noqa: ARG005
    )
    return found, watch.last


def steps_that_nothing_moves_are_the_free_estimate(case: Any) -> None:
    """Bit for bit: else a law that is true makes another estimate."""
    if isinstance(case.solver, Steered):
        found = difference(_watched(case)[0], case.estimate())
        ensure(not found, f"where no step is moved, the estimate {found}, from the free one")


def last_step_is_what_is_given(case: Any) -> None:
    """Laws hold exactly at the step that says it is the last: what comes after would break them."""
    if not isinstance(case.solver, Steered):
        return
    estimate, last = _watched(case)
    for name in case.wanted.names:
        parts = [fields.values[name].detach().cpu().numpy() for fields in last]
        array = estimate[name]
        dims = last[0].dims[name] if last else ("sample",)
        count = sum(len(each) for each in parts)
        samples = array.sizes.get("sample", 1)
        ensure(count == samples, f"of {samples} samples {count} were handed on at a last step")
        given = array.expand_dims(member=1) if "member" in dims and "member" not in array.dims else array
        left, right = np.concatenate(parts), given.transpose(*dims).values
        there = ~np.isnan(right)
        gap = float(np.abs(np.where(there, left - right, 0.0)).max())
        largest = float(np.abs(right[there]).max(initial=0.0))
        ensure(gap <= ROUNDING * largest, f"{name} differs by up to {gap:.3g} from its last step")


CHECKS: tuple[Check, ...] = (steps_that_nothing_moves_are_the_free_estimate, last_step_is_what_is_given)
