"""Laws that ask for other numbers of the same cells: refused where the numbers alone decide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..components import Law, LinearLaw
from ..components.system import System, systems
from ..errors import HandshakeError
from ..laws import BoundedLaw
from .stand_ins import UnreadError

if TYPE_CHECKING:
    import xarray as xr

AGREE = 1e-6
"""What two targets of one row may differ by, relative to them."""
CELLS = 2**22
"""Rows times cells above which they are not compared."""


def refuse_contradictions(laws: Sequence[Law], context: xr.Dataset, grid: xr.Dataset) -> None:
    """Raise `HandshakeError` for exact laws that cannot be true together, whatever cells are missing.

    These are rows that are alike and whose constant targets are not, and constant targets that no field within constant
    bounds has. `context` has no values (`stand_ins`): what can be computed without them is the same in every batch.
    """
    import numpy as np

    known = [law for law in laws if isinstance(law, LinearLaw) and _is_constant(law, context, grid)]
    for name, system in systems(known, grid).items():
        if system.count * system.cells > CELLS:
            continue
        targets = system.targets(context, grid)
        bounds = [law for law in laws if isinstance(law, BoundedLaw) and law.variable == name]
        limits = [each for law in bounds if (each := _numbers(law, context, grid)) is not None]
        lines = _lines(system)
        _refuse_empty(system, targets)
        scaled = targets / np.array([each.factor for each in lines])
        first: dict[bytes, int] = {}
        for number, line in enumerate(lines):
            _compare(system, (first.setdefault(line.weights, number), number), scaled)
            for law, (low, high) in limits:
                _within(system, number, targets, law, low=low, high=high)


def _is_constant(law: LinearLaw, context: xr.Dataset, grid: xr.Dataset) -> bool:
    """Whether a law has no noise, and targets that depend on no value. Raises `HandshakeError` for those that say
    nothing."""
    import numpy as np

    try:
        system = System.of([law], grid)
        told = system.told(law, system.rows[0], context, grid)
        if told.chunks is not None or np.asarray(system.variances(context, grid)).any():
            return False
        targets = system.targets(context, grid)
    except UnreadError:
        return False
    if np.isinf(targets).any() or np.isnan(targets).all():
        raise HandshakeError(
            f"{law.name} has the target {float(targets.ravel()[0])!r}",
            allowed="finite numbers",
            advice="give a target that says something",
        )
    return True


@dataclass(frozen=True)
class _Line:
    """A row's weights but for a factor, and what a missing cell is to it."""

    weights: bytes
    factor: float


def _lines(system: System) -> list[_Line]:
    import numpy as np

    found = []
    for row, gaps in enumerate(system.gaps):
        own = system.matrix[[row]]
        own.eliminate_zeros()
        own.sort_indices()
        factor = float(own.data[0]) if own.nnz else 1.0
        found.append(
            _Line(f"{gaps} ".encode() + own.indices.tobytes() + np.round(own.data / factor, 9).tobytes(), factor)
        )
    return found


def _refuse_empty(system: System, targets: Any) -> None:
    """Raise `HandshakeError` for a row that weighs no cell, and has a target other than 0."""
    import numpy as np

    weighs = abs(system.matrix).sum(axis=1) > 0.0
    for row in np.flatnonzero(~weighs):
        if (targets[..., row] != 0.0).any():
            raise HandshakeError(
                f"{system.owners[row].name} weighs no cell, and is to give {float(targets[..., row].ravel()[0]):g}",
                allowed="rows with a weight other than 0",
                advice="look at what the weights are made from",
            )


def _compare(system: System, rows: tuple[int, int], targets: Any) -> None:
    import numpy as np

    left, right = (targets[..., row] for row in rows)
    apart = np.abs(left - right) > AGREE * np.maximum(np.abs(left), np.abs(right))
    if apart.any():
        one, other = (system.owners[row].name for row in rows)
        first, second = (float(each[apart].ravel()[0]) for each in (left, right))
        raise HandshakeError(
            f"{one} and {other} contradict each other: of the same cells one gives {first:g}, the other {second:g}",
            allowed="laws of one enforcer that can be true together",
            advice="leave one of them out, give it `noise`, or hold them in two variants",
        )


def _numbers(law: BoundedLaw, context: xr.Dataset, grid: xr.Dataset) -> tuple[BoundedLaw, tuple[float, float]] | None:
    """A law and its limits, where they are numbers."""
    try:
        low, high = law.limits(context, grid)
    except UnreadError:
        return None
    return (law, (float(low), float(high))) if isinstance(low, float | int) and isinstance(high, float | int) else None


def _within(system: System, row: int, targets: Any, law: BoundedLaw, *, low: float, high: float) -> None:
    """Raise `HandshakeError` for a target that a row has of no field between two numbers."""
    import numpy as np

    weights, gaps = system.matrix[[row]].data, system.gaps[row]
    weights = weights[weights != 0.0]
    if gaps == "mean" and (weights < 0.0).any():
        return
    ends = np.sort(np.stack([weights * low, weights * high]), axis=0)
    if gaps == "sum":
        # A cell that is missing weighs nothing.
        ends = np.stack([np.minimum(ends[0], 0.0), np.maximum(ends[1], 0.0)])
    least, most = (low, high) if gaps == "mean" else (float(each.sum()) for each in ends)
    own = targets[..., row]
    slack = AGREE * (np.abs(own) + 1.0)
    outside = (own < least - slack) | (own > most + slack)
    if outside.any():
        raise HandshakeError(
            f"{system.owners[row].name} and {law.name} contradict each other: no field within the bounds gives "
            f"{float(own[outside][0]):g}",
            allowed=f"{least:g} to {most:g}",
            advice="widen the bounds, change the target, or hold them in two variants",
        )
