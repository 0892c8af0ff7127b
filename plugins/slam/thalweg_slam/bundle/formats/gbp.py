"""Keyframe windows of TUM RGB-D, in the text format of the gbp repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..problem import Bundle
from .lines import Invalid, counts, numbers, pairs


def read_gbp(path: str | Path, *, invalid: Invalid = "refuse") -> Bundle:
    """A window: `fx fy cx cy`, observations, per camera world-to-camera (translation, angle-axis), which looks down +z.

    Raises `SourceError` that names the line; with `invalid` "keep" numbers that are not finite are kept for `repair`.
    """
    values = numbers(path, invalid=invalid)
    cameras, points, observations = counts(path, values, head=7, size=(6, 3, 4))
    table = values[7 : 7 + 4 * observations].reshape(-1, 4)
    rest = values[7 + 4 * observations :]
    poses = rest[: 6 * cameras].reshape(-1, 6)
    return Bundle(
        cameras=np.concatenate([poses[:, 3:], poses[:, :3]], axis=1),
        points=rest[6 * cameras :].reshape(-1, 3),
        observations=pairs(path, table[:, :2], cameras=cameras, points=points),
        measured=table[:, 2:],
        model="pinhole",
        calibration=values[3:7],
        attrs={"source": Path(path).name},
    )
