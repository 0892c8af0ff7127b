"""Statistics of a transform that hold steps of the test: what is scored was looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..quantities import texts
from ..samples import has_index, index_of

if TYPE_CHECKING:
    import xarray as xr


def notes(learned: Sequence[tuple[str, xr.DataArray]], data: xr.Dataset) -> list[str]:
    """A line for each transform whose statistics include test steps.

    `learned` are names of transforms, and of each step whether it entered the statistics; `data` has an index.
    """
    if not has_index(data):
        return []
    index = index_of(data)
    if index.label is None or index.dim is None or index.dim not in data.coords:
        return []
    covered = index.covered(index.numbers("test"), data)
    lines = []
    for name, steps in learned:
        if steps.dims == (index.dim,) and index.dim in steps.coords:
            names = _coordinates(steps) & _coordinates(data[index.dim])
            tested = {key for key, there in zip(_keys(data[index.dim], names), covered.T, strict=True) if there.any()}
            shared = sum(key in tested for key, there in zip(_keys(steps, names), steps.values, strict=True) if there)
            if shared:
                lines.append(f"{name}: its statistics include {shared} of {len(tested)} test steps")
    return lines


def _coordinates(steps: xr.DataArray) -> set[str]:
    return {str(name) for name, each in steps.coords.items() if each.dims == steps.dims}


def _keys(steps: xr.DataArray, names: Iterable[str]) -> list[tuple[str, ...]]:
    """What identifies each step: all coordinates that it kept, since two sources may hold the same time."""
    return list(zip(*(texts(steps.coords[name].values).tolist() for name in sorted(names)), strict=True))
