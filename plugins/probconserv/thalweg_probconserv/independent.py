"""Rows that follow from others, found once for a batch, so that a solve on tensors need not look for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thalweg import Held
from thalweg.laws import System, parted

from ._solving import Sums, solve

Array = NDArray[Any]


def independent(held: Held, known: Mapping[str, Array]) -> dict[str, Array]:
    """What `held.known_together` gave, with a share of 0 for rows that follow from the others.

    Which rows do does not depend on the variance of the cells, as long as each has some. Raises `RunError` for laws
    that contradict each other.
    """
    found = dict(known)
    for name, system in held.systems.items():
        own = {key.removeprefix(f"{name}/"): each for key, each in known.items() if key.startswith(f"{name}/")}
        if not system.rows_matrix.disjoint and not ("noise" in own and own["noise"].all()):
            found[f"{name}/share"] = own["share"] * _kept(system, **own)
    return found


def _kept(
    system: System, /, share: Array, targets: Array, *, there: Array | None = None, noise: Array | None = None
) -> Array:
    """Whether each row is kept, `(sample or 1, *outer or 1, k)`."""
    rows = system.rows_matrix
    cells = np.ones((1,) * (share.ndim - 1) + (rows.cells,)) if there is None else there.astype(np.float64)
    shape = np.broadcast_shapes(share.shape[:-1], targets.shape[:-1], cells.shape[:-1])
    wanted = np.broadcast_to(np.where(share > 0.0, targets, np.nan), (*shape, rows.count))
    gram = rows.gram(cells)
    # Of a field of zeros: what is asked for is then all that can contradict.
    nothing = np.zeros((*shape, rows.count))
    sums = Sums(nothing, np.broadcast_to(gram, (*shape, *gram.shape[-2:])), nothing)
    largest, weights = parted(np.zeros(wanted.shape[-1:]) if noise is None else noise)
    solved = solve(sums, wanted, noise=largest, diagonal=False, share=np.broadcast_to(share * weights, wanted.shape))
    # A row that was left out has no part in the inverse.
    return np.asarray(np.abs(solved.root).sum(-2) > 0.0)
