"""What an enforcer is given: its laws, and the grid that their rows and weights are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from ..errors import HandshakeError
from .fields import BEFORE, Array, Fields, plain
from .grid import empty, grid_of
from .law import DifferentiableLaw, Law, LinearLaw
from .system import System, present, systems

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

    @cached_property
    def joint(self) -> Held:
        """The same with `together` as its own laws: for who holds all of them at once."""
        return replace(self, laws=self.together, kept=())

    @cached_property
    def systems(self) -> Mapping[str, System]:
        """The linear laws of each variable, those that are kept too, as one system."""
        return systems([law for law in self.together if isinstance(law, LinearLaw)], self.grid)

    @cached_property
    def by_law(self) -> tuple[System | None, ...]:
        """A system for each of `laws` by itself; None for one that is not linear."""
        return tuple(System.of([law], self.grid) if isinstance(law, LinearLaw) else None for law in self.laws)

    def known(self, context: xr.Dataset) -> dict[str, Array]:
        """What each law knows of a batch, at `NUMBER/NAME`: `targets`, `share`, `noise` of a linear one; `there`.

        A cell is taken to be missing where it is missing in every input step.
        """
        found: dict[str, Array] = {}
        for number, (law, system) in enumerate(zip(self.laws, self.by_law, strict=True)):
            if system is not None:
                own: Mapping[str, Array] = system.known(context, self.grid, system.present(context))
            elif isinstance(law, DifferentiableLaw):
                own = {name: plain(each) for name, each in law.known(context, self.grid).items()}
                own |= self._there(law, context)
            else:
                raise _opaque(law)
            found |= {f"{number}/{name}": each for name, each in own.items()}
        return found

    def _there(self, law: DifferentiableLaw, context: xr.Dataset) -> dict[str, Array]:
        """The cells of the field that a law is about, as `there`, if any is missing."""
        name = law.about
        if name is None or name not in self.grid:
            return {}
        found = present(context, name, {str(dim): size for dim, size in self.grid[name].sizes.items()})
        return {} if found is None else {"there": found.values}

    def known_together(self, context: xr.Dataset) -> dict[str, Array]:
        """What the linear laws of each variable know of a batch, at `VARIABLE/NAME`."""
        return {
            f"{name}/{key}": each
            for name, system in self.systems.items()
            for key, each in system.known(context, self.grid, system.present(context)).items()
        }

    def residuals(self, fields: Fields, known: Mapping[str, Array]) -> Iterator[Array]:
        """The residual of each law in turn, of what `known` gave; 0 where one says nothing."""
        for number, (law, system) in enumerate(zip(self.laws, self.by_law, strict=True)):
            start = f"{number}/"
            own = {name.removeprefix(start): each for name, each in known.items() if name.startswith(start)}
            if system is not None:
                yield system.residual(fields.values[system.variable], fields.dims[system.variable], own)[0]
            elif isinstance(law, DifferentiableLaw):
                yield law.array_residual(fields, own, self.grid)
            else:
                raise _opaque(law)

    def by_item(self, fields: Fields, known: Mapping[str, Array]) -> tuple[Array, Array]:
        """Residuals of tensors for each sample and member, and the variances of their targets, `(item, row)`, float64.

        Rows of all laws in turn, and of each at every lead and other dim: what may depend on one another.
        """
        import torch

        (dims, *_) = fields.dims.values()
        before = len(set(BEFORE) & set(dims))
        found, variances = [], []
        for number, (system, each) in enumerate(zip(self.by_law, self.residuals(fields, known), strict=True)):
            found.append(each.reshape(prod(each.shape[:before]), -1).double())
            noise = known.get(f"{number}/noise")
            if system is None or noise is None:
                variances.append(torch.zeros_like(found[-1]))
                continue
            outer = tuple(dim for dim in fields.dims[system.variable] if dim not in system.dims)
            variances.append(system.fitted(noise, outer).expand(each.shape).reshape(found[-1].shape))
        return torch.cat(found, 1), torch.cat(variances, 1)

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


def _opaque(law: Law) -> HandshakeError:
    return HandshakeError(
        f"{law.name} has no residual of arrays",
        allowed="laws that are linear or differentiable",
        advice="hold it at the output",
    )
