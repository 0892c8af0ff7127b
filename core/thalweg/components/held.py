"""What an enforcer is given: its laws, and the grid that their rows and weights are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from .grid import empty, grid_of
from .law import Law

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Held:
    """Laws on one grid: the same at each site, and what is scored."""

    laws: tuple[Law, ...]
    """Those that the enforcer is to hold."""
    grid: xr.Dataset
    """One sample of the estimate over empty memory: dims, coordinates, units, static fields. It has no mask."""
    kept: tuple[Law, ...] = ()
    """What earlier exact enforcers hold, and this one must leave true."""
    oracle: bool = False
    """Whether laws may look at the truth."""

    @classmethod
    def of(cls, laws: tuple[Law, ...], fields: xr.Dataset, static: xr.Dataset) -> Held:
        """Laws on the grid of these fields, with the static fields of a dataset."""
        return cls(laws, grid_of(fields, static))

    @property
    def together(self) -> tuple[Law, ...]:
        """All that must be true afterwards, each law once."""
        found: list[Law] = []
        for law in (*self.laws, *self.kept):
            if not any(type(law) is type(each) and law == each for each in found):
                found.append(law)
        return tuple(found)

    def __getstate__(self) -> dict[str, Any]:
        """Without the values of the fields over empty memory, which would be as many as a sample has."""
        state = {each.name: getattr(self, each.name) for each in fields(self)}
        bare = {name: each for name, each in self.grid.data_vars.items() if each.ndim and not any(each.values.strides)}
        described = {name: (each.dims, each.shape, each.dtype.str, each.attrs) for name, each in bare.items()}
        return {**state, "grid": self.grid.drop_vars(list(bare)), "empty": described}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        bare = {name: (dims, empty(shape, kind), attrs) for name, (dims, shape, kind, attrs) in state["empty"].items()}
        for each in fields(self):
            object.__setattr__(self, each.name, state[each.name])
        object.__setattr__(self, "grid", self.grid.assign(bare))
