"""Holds one after the other: what each enforcer is given, and must leave true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .component import Site
from .enforcer import Hold
from .held import Held
from .law import Law

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
    kept: list[Law] = []
    for hold in in_order(holds):
        mine = tuple(law for law in kept if hold.enforcer.exact and isinstance(law, hold.enforcer.takes))
        yield hold, Held(hold.laws, grid, mine, hold.oracle)
        if hold.enforcer.exact:
            kept += hold.laws
