"""What an enforcer of the `sampling` site keeps, on a sampler of Gaussian fields whose conditional laws are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..components import DifferentiableLaw, Draw, Fields, Hold, Law, LinearLaw, Rows, SamplingEnforcer
from ..components.context import context_of
from ..components.denoised import Denoised, Noise
from ..components.held import Held
from ..components.signature import Signature
from ..components.steering import Steering
from ..samples import Samples
from .report import Check, ensure
from .scenes import guess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ..components.fields import Array
    from .gaussian import Decode, Gaussian, Levels

SIZES = {"inputs": 2, "targets": 1}
"""Steps of the windows that samplers are tried on."""

ONE, TWO = slice(0, 1), slice(0, 2)
FEW = 5
"""Steps where the distribution is no matter."""

MEMBERS = 300
"""Of the one sample whose distribution is compared."""

AWAY = 2.0
"""Standard deviations that the laws' targets are away from what is drawn without them."""

SLACK = 1.2
"""Of the distance to the conditional distribution, over that of the free sampler to its own."""

TOLERANCE = 1e-9
"""Of residuals that are held in double precision, over those of the free sampler."""


class Nothing(LinearLaw):
    """A law that is always true: a sum of no cell is zero."""

    variable: str = "field"

    def rows(self, grid: xr.Dataset) -> Rows:
        array = grid[self.variable]
        dims = tuple(str(dim) for dim in array.dims if dim not in ("sample", "lead", "member"))
        return _NoCells(self.variable, dims)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:  # noqa: ARG002
        return xr.DataArray(np.zeros(1), dims="row")


class _NoCells(Rows):
    count = 1

    def __init__(self, variable: str, dims: tuple[str, ...]) -> None:
        self.variable, self.dims = variable, dims

    def block(self, region: Mapping[str, slice]) -> object:
        from scipy.sparse import csr_array

        return csr_array((1, prod(region[dim].stop - region[dim].start for dim in self.dims)))


class NothingAtAll(DifferentiableLaw):
    """A law that is always true, and not linear."""

    variable: str = "field"

    def array_residual(self, fields: Fields, known: Mapping[str, Array], grid: xr.Dataset) -> Array:  # noqa: ARG002
        return 0.0 * fields.values[self.variable]


@dataclass
class Case:
    """An enforcer, laws that it takes, and samples whose fields are drawn."""

    enforcer: SamplingEnforcer
    laws: tuple[Law, ...]
    data: xr.Dataset

    @cached_property
    def samples(self) -> Samples:
        return Samples.of(self.data, "test")

    @cached_property
    def _fields(self) -> xr.Dataset:
        """A guess at one sample, which breaks the laws or not."""
        return guess(self.samples, TWO).isel(sample=ONE)

    @cached_property
    def _guess(self) -> Tensor:
        import torch

        flat = [each.values.reshape(-1) for each in self._fields.data_vars.values()]
        return torch.from_numpy(np.concatenate(flat).astype(np.float64))

    def gaussian(self, *, coloured: bool = False) -> Gaussian:
        from .gaussian import Gaussian

        return Gaussian.of(len(self._guess), coloured=coloured)

    @cached_property
    def _context(self) -> xr.Dataset:
        truth = self.samples.truth(TWO)
        oracle = any(law.oracle for law in self.laws)
        return context_of(self.samples.inputs(TWO), Signature.of(truth), truth if oracle else None)

    def context(self, at: slice) -> xr.Dataset:
        return self._context.isel(sample=at)

    @cached_property
    def grid(self) -> xr.Dataset:
        return self.samples.grid

    def steering(self, laws: tuple[Law, ...], at: slice = ONE) -> Steering:
        hold = Hold(laws, self.enforcer, oracle=any(law.oracle for law in laws))
        return Steering([hold], self.grid, lambda hold: self.context(at))  # noqa: ARG005

    def split(self, cells: Tensor, *, samples: int = 1) -> Fields:
        """Cells of all fields (item, cell), one field after another."""
        values, dims, begin = {}, {}, 0
        for name, each in self._fields.data_vars.items():
            shape = each.shape[1:]
            values[str(name)] = cells[:, begin : begin + prod(shape)].reshape(samples, -1, *shape)
            dims[str(name)] = ("sample", "member", *map(str, each.dims[1:]))
            begin += prod(shape)
        units = {str(name): str(each.attrs.get("units", "1")) for name, each in self._fields.data_vars.items()}
        return Fields(values, dims, units)

    def decode(self, states: Tensor, *, samples: int = 1) -> Fields:
        """The guess where a state is the mean; as wide as `width` says."""
        return self.split(self._guess + self.width * (states - self.gaussian().mean), samples=samples)

    def curved(self, states: Tensor) -> Fields:
        """Fields behind a decoder that is not linear, and mixes cells."""
        mixed = 0.8 * states + 0.2 * states.roll(1, 1)
        return self.decode(mixed + 0.05 * mixed.square())

    def residuals(self, fields: Fields, *, at: slice = ONE) -> Tensor:
        """Of all laws, (item, row)."""
        return self.by_item(fields, at=at)[0]

    def by_item(self, fields: Fields, *, at: slice = ONE) -> tuple[Tensor, Tensor]:
        """Residuals of all laws and the variances of their targets, (item, row)."""
        import torch

        held = Held(self.laws, self.grid)
        known = {
            name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in held.known(self.context(at)).items()
        }
        found: tuple[Tensor, Tensor] = held.by_item(fields, known)
        return found

    @cached_property
    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """`H`, `b` and R of linear laws, over the cells of all fields."""
        import torch

        size = len(self._guess)
        basis = torch.cat([torch.zeros(1, size, dtype=torch.float64), torch.eye(size, dtype=torch.float64)])
        found, noise = self.by_item(self.split(basis))
        return (found[1:] - found[0]).T, -found[0], noise[0]

    @cached_property
    def width(self) -> float:
        """Of fields over states, so that linear laws ask for what is `AWAY` standard deviations from the mean.

        Fails if the guess breaks none.
        """
        import torch

        if not all(isinstance(law, LinearLaw) for law in self.laws):
            return 0.1
        (rows, targets, _), covariance = self._rows, self.gaussian().covariance
        away = rows @ self._guess - targets
        found = float(away @ torch.linalg.solve(rows @ covariance @ rows.T, away)) / (len(away) * AWAY**2)
        ensure(found > 0, f"no fields of the kit break {_named(self.laws)}: holding it would show nothing")
        return float(found**0.5)

    @property
    def conditions(self) -> tuple[Tensor, Tensor, Tensor]:
        """`H`, `b` and R of linear laws, over the cells of a state."""
        rows, targets, noise = self._rows
        mean = self.gaussian().mean
        return self.width * rows, targets - rows @ (self._guess - self.width * mean), noise

    def drawn(
        self,
        laws: tuple[Law, ...],
        gaussian: Gaussian,
        levels: Levels,
        *,
        members: int = MEMBERS,
        decode: Decode | None = None,
    ) -> Tensor:
        """Without laws the free draws."""
        draw = Draw(3, ("0",), tuple(range(members)))
        steering = self.steering(laws) if laws else None
        return gaussian.drawn(levels, draw, decode=decode or self.decode, steering=steering)


def last_estimate_obeys(case: Case) -> None:
    """Each law and all together; of one that is not exact: nearer than the free estimate."""
    from .gaussian import flow

    for laws in dict.fromkeys([*((law,) for law in case.laws), case.laws]):
        own = replace(case, laws=laws)
        drawn, free = (own.drawn(each, own.gaussian(), flow(FEW), members=8) for each in (laws, ()))
        left, before = (own.by_item(own.decode(each)) for each in (drawn, free))
        breaks = bool((before[0] != 0).any())
        ensure(breaks, f"no fields of the kit break {_named(laws)}: holding it would show nothing")
        _obeys(case.enforcer, laws, left, before)


def fields_behind_a_decoder_obey(case: Case) -> None:
    """What obeys are the fields in their units, not the states of the sampler."""
    from .gaussian import flow

    gaussian = case.gaussian()
    drawn, free = (case.drawn(laws, gaussian, flow(FEW), members=8, decode=case.curved) for laws in (case.laws, ()))
    left, before = (case.by_item(case.curved(each)) for each in (drawn, free))
    _obeys(case.enforcer, case.laws, left, before)


ByItem = tuple["Tensor", "Tensor"]


def _obeys(enforcer: SamplingEnforcer, laws: tuple[Law, ...], left: ByItem, before: ByItem) -> None:
    """Rows without noise exactly; others, and those of an enforcer that is not exact, nearer than in free draws."""
    exact = (left[1][0] == 0.0) & enforcer.exact
    for rows, word in ((exact, ""), (~exact, "not exact, and ")):
        if not bool(rows.any()):
            continue
        own, free = left[0][:, rows].abs(), before[0][:, rows].abs()
        largest, were = float(own.max()), float(free.max())
        ensure(
            float(own.mean()) < float(free.mean()) if word else largest <= TOLERANCE * were,
            f"{word}residuals of {_named(laws)} go up to {largest:.3g}, in free draws to {were:.3g}",
        )


def draws_are_of_the_conditional_distribution(case: Case) -> None:
    """Of Gaussian fields under linear laws: as near to it as free draws are to theirs, for each kind of sampler."""
    from .gaussian import diffusion, flow

    if not case.enforcer.conditional() or not all(isinstance(law, LinearLaw) for law in case.laws):
        return
    for kind, levels, coloured in (
        ("a flow", flow(), False),
        ("a flow from correlated noise", flow(), True),
        ("a diffusion", diffusion(), False),
    ):
        gaussian = case.gaussian(coloured=coloured)
        free = distance_of(case.drawn((), gaussian, levels), gaussian.mean, gaussian.covariance)
        held = distance_of(case.drawn(case.laws, gaussian, levels), *gaussian.given(*case.conditions))
        ensure(
            held <= SLACK * free,
            f"W2 over trace to the conditional distribution is {held:.3g} for {kind}; of free draws to theirs it is "
            f"{free:.3g}",
        )


def distance_of(states: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """Squared Wasserstein-2 distance over trace."""
    from .gaussian import distance

    return distance(states, mean, covariance)


def law_that_is_true_changes_nothing(case: Case) -> None:
    """Bit for bit: else an ensemble under it is another one than without, for no reason."""
    import torch

    from .gaussian import flow

    (name, *_) = case.samples.wanted.names
    true = [
        law for law in (Nothing(variable=name), NothingAtAll(variable=name)) if isinstance(law, case.enforcer.takes)
    ]
    gaussian = case.gaussian()
    free = case.drawn((), gaussian, flow(FEW), members=8)
    for law in (each for each in true if isinstance(each, case.enforcer.takes)):
        held = case.drawn((law,), gaussian, flow(FEW), members=8)
        gap = float((held - free).abs().max())
        ensure(torch.equal(held, free), f"under a law that is always true draws differ from free ones by {gap:.3g}")


def samples_do_not_see_one_another(case: Case) -> None:
    """Members of a sample may."""
    import torch

    from .gaussian import flow

    gaussian = case.gaussian()

    def drawn(numbers: tuple[int, ...]) -> Tensor:
        at = slice(numbers[0], numbers[-1] + 1)
        draw = Draw(3, tuple(map(str, numbers)), (0, 1, 2))
        return gaussian.drawn(
            flow(FEW),
            draw,
            decode=lambda states: case.decode(states, samples=len(numbers)),
            steering=case.steering(case.laws, at),
        )

    together, apart = drawn((0, 1)), torch.cat([drawn((0,)), drawn((1,))])
    gap, largest = float((together - apart).abs().max()), float(apart.abs().max())
    ensure(gap <= 1e-6 * largest, f"sampled one by one, draws differ by {gap:.3g} of {largest:.3g}")


def noise_without_signal_is_no_fault(case: Case) -> None:
    """The first state of some samplers says nothing of the fields."""
    import torch

    from .gaussian import flow

    found = case.drawn(case.laws, case.gaussian(), flow(FEW, first=0.0), members=3)
    ensure(bool(torch.isfinite(found).all()), "from a state without signal, draws are not finite")


def state_is_left_alone(case: Case) -> None:
    """The sampler goes on from it."""
    import torch

    gaussian, draw = case.gaussian(), Draw(3, ("0",), (0, 1))
    noisy = torch.from_numpy(draw.normal("start", tuple(gaussian.mean.shape), members=True)).flatten(0, 1).double()
    state = Denoised.of(
        lambda z: gaussian.denoised(z, 0.5, 0.5), noisy, decode=case.decode, noise=Noise(0.5, 0.5, gain=0.1), draw=draw
    )
    before = state.estimate.detach().clone(), state.noisy.detach().clone()
    case.steering(case.laws)(state)
    same = torch.equal(before[0], state.estimate.detach()) and torch.equal(before[1], state.noisy.detach())
    ensure(same, "it changes the estimate or the noisy state that it is given; copy them")


def _named(laws: tuple[Law, ...]) -> str:
    return " and ".join(law.name for law in laws)


CHECKS: tuple[Check, ...] = (
    last_estimate_obeys,
    fields_behind_a_decoder_obey,
    draws_are_of_the_conditional_distribution,
    law_that_is_true_changes_nothing,
    samples_do_not_see_one_another,
    noise_without_signal_is_no_fault,
    state_is_left_alone,
)
