"""Measurements between sensors, as measurements between poses.

A sensor is at T O. What it measures is Z^-1 (T_i O_i)^-1 (T_j O_j) = O_j^-1 (Z'^-1 T_i^-1 T_j) O_j with
Z' = O_i Z O_j^-1, so that Log e = Ad(O_j^-1) Log e', and the information of e' is Ad(O_j^-1)^T Omega Ad(O_j^-1). A
prior has no O_i.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from thalweg import SourceError

from ..geometry import adjoint
from ..graph import Convention
from ..poses import compose, identity, invert
from ._tables import Lines, place

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Offsets:
    """The offsets of sensors in a file, by their ids."""

    dims: int
    path: str
    tag: str
    ids: Array = field(default_factory=lambda: np.empty(0, np.int64))
    translation: Array = field(default_factory=lambda: np.empty((0, 0)))
    rotation: Array = field(default_factory=lambda: np.empty(0))

    def of(self, ids: Array, lines: Lines) -> tuple[Array, Array]:
        """The offsets (n,) of these ids. Raises `SourceError` that names the line of an id without its offset."""
        if not len(self.ids):
            self._missing(int(ids[0]), lines.numbers[0])
        order = np.argsort(self.ids, kind="stable")
        found = order[np.searchsorted(self.ids, ids, sorter=order).clip(max=len(order) - 1)]
        missing = np.flatnonzero(self.ids[found] != ids)
        if len(missing):
            self._missing(int(ids[missing[0]]), lines.numbers[missing[0]])
        return self.translation[found], self.rotation[found]

    def _missing(self, wanted: int, line: int) -> None:
        known = ", ".join(map(str, self.ids[:8].tolist())) or "none"
        raise SourceError(
            f"{place(self.path, line)}: offset {wanted} of a sensor, which no {self.tag} line gives",
            allowed=f"ids of {self.tag} lines: {known}",
            advice=f"add a line `{self.tag} {wanted} ...`: the identity, if the sensor is at the pose",
        )


Measured = tuple[Array, Array]
"""Translations and rotations."""


def between_poses(
    measured: Measured, information: Array, *, first: Measured | None, second: Measured, convention: Convention
) -> tuple[Array, Array, Array]:
    """Translations, rotations and information of measurements between sensors, as between poses.

    Exact in the convention `log`. Raises `ValueError` in `vector`, unless the second sensor is turned only: the error
    of one with a lever arm is no linear function of the pose's there.
    """
    count, dims = second[0].shape
    if convention == "vector" and second[0].any():
        raise ValueError("lever arm")
    origin = identity(count, dims=dims)
    shift, turn = compose(*(origin if first is None else first), then=compose(*measured, then=invert(*second)))
    back = invert(*second)
    change = adjoint((back[1], back[0]))
    moved = change.transpose(0, 2, 1) @ information @ change
    return shift, turn, (moved + moved.transpose(0, 2, 1)) / 2
