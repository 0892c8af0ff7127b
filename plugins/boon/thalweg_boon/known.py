"""What boundary laws give at their faces, of a batch; and whether they agree where two faces meet."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from thalweg import FaceLaw, HandshakeError, Held, RunError
from thalweg.laws import System

Array = NDArray[Any]

AGREE = 1e-5
"""What two laws may differ by at a corner, relative to the values there: targets are known in single precision."""


def known(held: Held, context: xr.Dataset, laws: tuple[FaceLaw, ...]) -> dict[str, Array]:
    """By number of a law: `values` `(sample or 1, *face, line)`, and `said` where a value is unknown somewhere.

    Raises `RunError` for laws that contradict each other where two faces meet.
    """
    systems = [System.of([law], held.grid) for law in laws]
    targets = [system.targets(context, held.grid) for system in systems]
    noisy = [law.name for law, each in zip(laws, systems, strict=True) if _noisy(each.variances(context, held.grid))]
    if noisy:
        raise HandshakeError(
            f"{', '.join(noisy)} is known up to a noise",
            allowed="laws without `noise`, which a layer holds exactly",
            advice="leave `noise` out, or hold the law at the output",
        )
    for one, other in combinations(range(len(laws)), 2):
        if laws[one].variable == laws[other].variable and laws[one].dim != laws[other].dim:
            _agree(laws[one], laws[other], (systems[one], systems[other]), (targets[one], targets[other]), held)
    found: dict[str, Array] = {}
    for number, values in enumerate(targets):
        said = ~np.isnan(values)
        found[f"{number}/values"] = np.nan_to_num(values)
        if not said.all():
            found[f"{number}/said"] = said
    return found


def _noisy(variances: Array) -> bool:
    return bool((np.isfinite(variances) & (variances > 0.0)).any())


def _agree(
    one: FaceLaw, other: FaceLaw, systems: tuple[System, System], targets: tuple[Array, Array], held: Held, /
) -> None:
    """The line of one law along what the other gives at its face is the same in either order: $c (d u) = d (c u)$."""
    along = [
        [
            _applied(line.weights, line.cells(held.grid.sizes[law.dim]), each[..., number], system.outer.index(law.dim))
            for line, number in product(law.lines(held.grid), range(each.shape[-1]))
        ]
        for law, system, each in ((one, systems[1], targets[1]), (other, systems[0], targets[0]))
    ]
    count = len(one.lines(held.grid)), len(other.lines(held.grid))
    for first, second in product(range(count[0]), range(count[1])):
        left, right = along[0][first * count[1] + second], along[1][second * count[0] + first]
        gap, size = np.abs(left - right), np.abs(left) + np.abs(right)
        if bool((gap > AGREE * np.maximum(size, np.nanmax(size, initial=0.0))).any()):
            raise RunError(
                f"{one.name} and {other.name} contradict each other where their faces meet, by {np.nanmax(gap):.3g}",
                allowed="what one gives along the face of the other agrees with what that gives",
                advice="leave one of the laws out there, or hold them by `penalty`",
            )


def _applied(weights: tuple[float, ...], cells: list[int], values: Array, at: int) -> Array:
    """A line along an axis of a face, which is gone then; of what is the same along it, the sum of the weights."""
    axis = 1 + at
    if values.shape[axis] == 1:
        return np.asarray(values.take(0, axis) * sum(weights))
    return np.asarray(sum(weight * values.take(cell, axis) for cell, weight in zip(cells, weights, strict=True)))
