"""Enforcers in a network that hold another law than the one that is scored, each in a way that was once a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from thalweg import Held


@dataclass(frozen=True)
class Kept:
    """An enforcer of the `operator` site, as it is."""

    inner: Any

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.inner.known(self.under(held), context)
        return found

    def wrap(self, network: Any, held: Held, prefix: str) -> Any:
        return self.inner.wrap(network, self.under(held), prefix)

    def under(self, held: Held) -> Held:
        return held


class OnIndices(Kept):
    """On a grid whose coordinates are numbers of cells."""

    def under(self, held: Held) -> Held:
        grid = held.grid
        return replace(held, grid=grid.assign_coords({dim: np.arange(grid.sizes[dim]) for dim in grid.indexes}))


class AllThere(Kept):
    """Takes each cell to be there."""

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        found = {name: each for name, each in super().known(held, context).items() if not name.endswith("/there")}
        return {name: np.ones_like(each) if name.endswith("/share") else each for name, each in found.items()}


class OfChannels(Kept):
    """With targets from what the network is given, where what is missing is the mean."""

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return {**super().known(held, context), **self._filled(held, context)}

    def _filled(self, held: Held, context: xr.Dataset) -> dict[str, Any]:
        filled = super().known(held, context.fillna(context.mean()))
        return {name: each for name, each in filled.items() if name.endswith("/targets")}


class WholeNoise(Kept):
    """With the whole noise of a row, whatever part of it is there."""

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        found = dict(super().known(held, context))
        for name in [each for each in found if each.endswith("/noise")]:
            share = found[name.replace("/noise", "/share")]
            found[name] = found[name] / np.where(share > 0.0, share, 1.0) ** 2
        return found
