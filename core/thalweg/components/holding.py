"""Holds one after the other: what each enforcer is given, and must leave true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .component import Site
from .enforcer import Hold
from .held import Held
from .law import Law, LinearLaw

if TYPE_CHECKING:
    import xarray as xr

ORDER: tuple[Site, ...] = ("loss", "operator", "sampling", "output")
"""Of sites, in the order in which they change an estimate."""


def in_order(holds: Sequence[Hold]) -> list[Hold]:
    """Holds as they come after one another, at one site as the recipe has them."""
    return sorted(holds, key=lambda hold: ORDER.index(hold.site))


def handed_on(holds: Sequence[Hold], grid: xr.Dataset) -> Iterator[tuple[Hold, Held]]:
    """Holds in order, each with what its enforcer is given: its laws, and those of earlier exact ones that it takes.

    The plan has refused those that it does not take.
    """
    kept: list[tuple[Law, bool]] = []
    for hold in in_order(holds):
        mine = [each for each in kept if hold.enforcer.exact and isinstance(each[0], hold.enforcer.takes)]
        # A law that knows the truth needs it wherever it is kept.
        oracle = hold.oracle or any(known for _, known in mine)
        yield replace(hold, oracle=oracle), Held(hold.laws, grid, tuple(law for law, _ in mine), oracle)
        if hold.enforcer.exact:
            kept += [(law, hold.oracle) for law in hold.laws if not _noisy(law)]


def _noisy(law: Law) -> bool:
    """Whether it is held up to a noise: conditioned on once more, it would count twice."""
    return isinstance(law, LinearLaw) and (law.noise > 0.0 or type(law).variances is not LinearLaw.variances)
