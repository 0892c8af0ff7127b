"""Bundle adjustment in the large: text."""

from __future__ import annotations

from pathlib import Path

from ..problem import Bundle
from .lines import Invalid, counts, numbers, pairs


def read_bal(path: str | Path, *, invalid: Invalid = "refuse") -> Bundle:
    """A problem of BAL (`.txt`, `.txt.gz`): angle-axis, translation, f, k1, k2 per camera, which looks down -z.

    Raises `SourceError` that names the line; with `invalid` "keep" numbers that are not finite are kept for `repair`.
    """
    values = numbers(path, invalid=invalid)
    cameras, points, observations = counts(path, values, head=3, size=(9, 3, 4))
    table = values[3 : 3 + 4 * observations].reshape(-1, 4)
    rest = values[3 + 4 * observations :]
    return Bundle(
        cameras=rest[: 9 * cameras].reshape(-1, 9),
        points=rest[9 * cameras :].reshape(-1, 3),
        observations=pairs(path, table[:, :2], cameras=cameras, points=points),
        measured=table[:, 2:],
        model="bal",
        attrs={"source": Path(path).name},
    )
