"""What an enforcer of the `loss` site keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..components import Fields, Law, LossEnforcer
from ..components.held import Held
from ..components.signature import Signature
from ..samples import Samples
from .candidates import breaking, obeying
from .report import Check, ensure
from .scenes import BATCH, guess, known

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Case:
    """An enforcer, a law that it takes, and samples to try it on."""

    enforcer: LossEnforcer
    law: Law
    data: xr.Dataset

    @cached_property
    def samples(self) -> Samples:
        return Samples.of(self.data, "test")

    @cached_property
    def context(self) -> xr.Dataset:
        return known(self.samples, self.law)

    @cached_property
    def wrong(self) -> xr.Dataset:
        """An estimate that breaks the law. Fails if the kit finds none."""
        found = breaking((self.law,), guess(self.samples, BATCH), self.context, self.samples.grid)
        ensure(found is not None, f"no estimate of the kit breaks {self.law.name}: a penalty would show nothing")
        assert found is not None
        return found

    def estimate(self, fields: xr.Dataset | None = None) -> Fields:
        from ..learning import to_tensor

        made = self.wrong if fields is None else fields
        values = {str(name): to_tensor(made, [str(name)])[..., 0].requires_grad_() for name in made.data_vars}
        return fields_of(values, made)

    @cached_property
    def held(self) -> Held:
        return Held((self.law,), self.samples.grid, oracle=self.law.oracle)

    def penalty(self, estimate: Fields) -> Tensor:
        import torch

        known = self.enforcer.known(self.held, self.context)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in known.items()}
        return self.enforcer.penalty(estimate, self.held, tensors)


def fields_of(values: Mapping[str, Tensor], like: xr.Dataset) -> Fields:
    """Tensors `(sample, lead, *space)` as the fields of a dataset."""
    from ..learning import Layout

    dims = ("sample", *Layout.of(Signature.of(like)).dims)
    units = {str(name): str(each.attrs.get("units", "1")) for name, each in like.data_vars.items()}
    return Fields(values, dict.fromkeys(values, dims), units)


def penalty_is_a_positive_scalar(case: Case) -> None:
    value = case.penalty(case.estimate()).detach()
    ensure(value.shape == (), f"the penalty has shape {tuple(value.shape)}; add up to a scalar")
    ensure(0 < float(value) < float("inf"), f"the penalty of a wrong estimate is {float(value)}")


def penalty_is_zero_where_the_law_holds(case: Case) -> None:
    good = obeying((case.law,), guess(case.samples, BATCH), case.context, case.samples.grid)
    if good is not None:
        wrong, right = (float(case.penalty(case.estimate(each)).detach()) for each in (case.wrong, good))
        ensure(
            abs(right) <= 1e-6 * wrong,
            f"the penalty of an estimate that obeys is {right:.3g}; of a wrong one {wrong:.3g}",
        )


def descending_it_leads_to_the_law(case: Case) -> None:
    """Down the gradient, by as much as a parabola would have it, the penalty falls."""
    import torch

    estimate = case.estimate()
    value = case.penalty(estimate)
    values = estimate.values
    gradients = torch.autograd.grad(value, list(values.values()), allow_unused=True)
    found = {name: each for name, each in zip(values, gradients, strict=True) if each is not None}
    ensure(found, "it has no gradient with respect to the estimate")
    ensure(all(bool(torch.isfinite(each).all()) for each in found.values()), "its gradient is not finite")
    norm = sum(float(each.double().square().sum()) for each in found.values())
    ensure(norm > 0, "its gradient is zero at a wrong estimate")
    before = float(value.detach())
    step = 0.5 * before / norm
    moved = {name: (each - step * found[name] if name in found else each).detach() for name, each in values.items()}
    after = float(case.penalty(replace(estimate, values=moved)))
    ensure(after < before, f"a step down its gradient goes from {before:.6g} to {after:.6g}")


CHECKS: tuple[Check, ...] = (
    penalty_is_a_positive_scalar,
    penalty_is_zero_where_the_law_holds,
    descending_it_leads_to_the_law,
)
