"""Plans for shapes, each made once, and the masks that follow from them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .cuboids import AXES, Column, Cuboid, Padding, Plan
from .shapes import Triple


@lru_cache(maxsize=4096)
def plan(shape: Triple, cuboid: Cuboid, padding: Padding) -> Plan:
    """The plan for self-attention on fields of a shape."""
    fitted = Plan(shape, cuboid.within(shape), padding)
    masked = allowed(fitted, fitted) is not None
    return replace(fitted, grouped=_grouped(fitted.cuboid.size, masked=masked))


@lru_cache(maxsize=4096)
def blocks(shape: Triple, block: Triple, padding: Padding) -> Plan:
    """The plan for cutting a field into blocks, even if it is smaller than one."""
    return Plan(shape, Cuboid(block), padding)


@lru_cache(maxsize=4096)
def plans(queries: Triple, keys: Triple, column: Column, padding: Padding) -> tuple[Plan, Plan]:
    """The plans for cross-attention: of queries and of keys, whose time axes are both cut into `column.cuts` parts."""
    made = []
    for shape, early in ((queries, False), (keys, True)):
        cuboid = Cuboid((-(-shape[0] // column.cuts), *column.size), (0, *column.shift), column.strategy).within(shape)
        made.append(Plan(shape, cuboid, padding, early, column.cuts))
    size = (max(each.cuboid.size[0] for each in made), *made[0].cuboid.size[1:])
    masked = allowed(made[0], made[1]) is not None
    grouped = _grouped(size, masked=masked)
    return replace(made[0], grouped=grouped), replace(made[1], grouped=grouped)


def allowed(queries: Plan, keys: Plan) -> NDArray[np.bool_] | None:
    """Which keys each query of a cuboid may see, (cuboid, query, key); None if all.

    Those in its own region and, if padding is ignored, not in the padding. A query without any such key sees the
    padding of its region, whose values are zero: it gets nothing, where a softmax over nothing would be NaN.
    """
    regions = [each.regions() for each in (queries, keys)]
    same = regions[0][:, :, None] == regions[1][:, None, :]
    if queries.padding == "ignore":
        seen = same & keys.real()[:, None, :]
        same = seen | (same & ~seen.any(-1, keepdims=True))
    return None if same.all() else same


def _grouped(size: Triple, *, masked: bool) -> tuple[int, ...]:
    # A mask differs between cuboids but not between samples, so cuboids then go with the heads, over which it extends.
    # Otherwise those that vary faster in memory than the cells of a cuboid do: cutting is then a view.
    last = max((i for i in AXES if size[i] > 1), default=-1)
    return tuple(i for i in AXES if masked or i > last)
