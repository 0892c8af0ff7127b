"""What laws that are held while a network learns know of its batches, and the network that finds it by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..components import Hold, LossEnforcer, OperatorEnforcer
from ..components.calls import call
from ..components.held import Held
from ..components.holding import handed_on
from .drawn import among

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor, nn

    from .chunk_files import Array


class Holding:
    """The holds of a network on one grid; what a hold knows is named `PREFIX/NAME`."""

    def __init__(self, holds: Sequence[Hold], grid: xr.Dataset) -> None:
        self.grid = grid
        self.penalties: dict[str, tuple[LossEnforcer, Held]] = {}
        self.wrappers: dict[str, tuple[OperatorEnforcer, Held]] = {}
        for hold, held in handed_on(holds, grid):
            # Numbered by site: a solver knows of its operator holds only.
            if isinstance(hold.enforcer, LossEnforcer):
                self.penalties[f"loss-{len(self.penalties)}"] = hold.enforcer, held
            elif isinstance(hold.enforcer, OperatorEnforcer):
                self.wrappers[f"operator-{len(self.wrappers)}"] = hold.enforcer, held

    def __bool__(self) -> bool:
        return bool(self.penalties or self.wrappers)

    def known(self, context: xr.Dataset) -> dict[str, Array]:
        """Arrays by name, `sample` or 1 first; computed on the thread that reads, and never differentiated."""
        found: dict[str, Array] = {}
        holds: Mapping[str, tuple[LossEnforcer | OperatorEnforcer, Held]] = {**self.penalties, **self.wrappers}
        for prefix, (enforcer, held) in holds.items():
            own = call(enforcer, enforcer.known, held, context)
            found |= {f"{prefix}/{name}": np.ascontiguousarray(each) for name, each in own.items()}
        return found


def under(prefix: str, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What one hold knows, by its own names."""
    start = f"{prefix}/"
    return {name.removeprefix(start): each for name, each in known.items() if name.startswith(start)}


class Bound:
    """A network under laws, as an author's code calls it: with inputs, and noise where it takes some."""

    def __init__(self, network: nn.Module, known: Mapping[str, Tensor]) -> None:
        self._network, self._known = network, known

    def __call__(self, inputs: Any, noise: Mapping[str, Tensor] | None = None) -> Tensor:
        output: Tensor = self._network(inputs, {**self._known, **among(noise or {})})
        return output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)
