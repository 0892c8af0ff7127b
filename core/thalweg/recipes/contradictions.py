"""Laws that ask for other numbers of the same cells: refused where the numbers alone decide it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING, Any

from ..components import Law, LinearLaw
from ..components.rows import Rows, whole
from ..components.system import System
from ..errors import HandshakeError
from .stand_ins import UnreadError

if TYPE_CHECKING:
    import xarray as xr

AGREE = 1e-6
"""What two targets of one row may differ by, relative to them."""
CELLS = 2**24
"""Weights of rows above which they are not compared."""


def refuse_contradictions(laws: Sequence[Law], context: xr.Dataset, grid: xr.Dataset) -> None:
    """Raise `HandshakeError` for two exact laws whose rows are alike, and whose constant targets are not.

    `context` has no values (`stand_ins`): what can be computed without them is the same in every batch.
    """
    told = [each for law in laws if isinstance(law, LinearLaw) and (each := _constant(law, context, grid)) is not None]
    for one, other in combinations(told, 2):
        if (one[1].variable, one[1].dims, one[1].gaps) != (other[1].variable, other[1].dims, other[1].gaps):
            continue
        for first, left in enumerate(_lines(one[1], grid)):
            for second, right in enumerate(_lines(other[1], grid)):
                if left[0] == right[0]:
                    _compare(one[0], other[0], one[2][..., first] / left[1], other[2][..., second] / right[1])


def _constant(law: LinearLaw, context: xr.Dataset, grid: xr.Dataset) -> tuple[LinearLaw, Rows, Any] | None:
    """A law without noise, its rows and its targets, if they do not depend on a value. Raises `HandshakeError`."""
    import numpy as np

    try:
        system = System.of([law], grid)
        told = system.told(law, system.rows[0], context, grid)
        if told.chunks is not None or np.asarray(system.variances(context, grid)).any():
            return None
        targets = system.targets(context, grid)
    except UnreadError:
        return None
    if np.isinf(targets).any() or np.isnan(targets).all():
        raise HandshakeError(
            f"{law.name} has the target {targets.ravel()[0]!r}",
            allowed="finite numbers",
            advice="give a target that says something",
        )
    return law, system.rows[0], targets


def _lines(rows: Rows, grid: xr.Dataset) -> list[tuple[bytes, float]]:
    """Of each row what its weights are but for a factor, and the factor."""
    import numpy as np

    if rows.count * prod(grid.sizes[dim] for dim in rows.dims) > CELLS:
        return []
    found = []
    matrix = whole(rows, grid.sizes)
    for row in range(rows.count):
        own = matrix[[row]]
        own.eliminate_zeros()
        own.sort_indices()
        first = float(own.data[0]) if own.nnz else 1.0
        weights = np.round(own.data / first, 9)
        found.append((own.indices.tobytes() + weights.tobytes(), first))
    return found


def _compare(one: LinearLaw, other: LinearLaw, left: Any, right: Any) -> None:
    import numpy as np

    apart = np.abs(left - right) > AGREE * np.maximum(np.abs(left), np.abs(right))
    if apart.any():
        place = tuple(np.argwhere(apart)[0])
        values = [float(np.broadcast_to(each, apart.shape)[place]) for each in (left, right)]
        raise HandshakeError(
            f"{one.name} and {other.name} contradict each other: of the same cells one gives {values[0]:g}, the other "
            f"{values[1]:g}",
            allowed="laws of one enforcer that can be true together",
            advice="leave one of them out, give it `noise`, or hold them in two variants",
        )
