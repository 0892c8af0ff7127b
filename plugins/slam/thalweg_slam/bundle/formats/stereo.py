"""Stereo visual odometry, in the text format of GTSAM's examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from thalweg import SourceError

from ..problem import Array, Bundle
from .lines import Invalid, numbers


def read_stereo(
    factors: str | Path, *, poses: str | Path, calibration: str | Path, invalid: Invalid = "refuse"
) -> Bundle:
    """Observations `camera point uL uR v X Y Z` ((X, Y, Z) in the camera), camera-to-world poses `id, 4x4`, and
    `fx fy skew cx cy baseline`.

    A point begins where its first observation has it; with `invalid` "keep" numbers that are not finite are kept for
    `repair`. Raises `SourceError`.
    """
    known, seen, made = numbers(calibration), numbers(factors, invalid=invalid), numbers(poses)
    if known.shape != (6,) or known[2] != 0:
        raise SourceError(f"{str(calibration)!r} holds {known.tolist()!r}", allowed="fx fy 0 cx cy baseline")
    if len(seen) % 8 or len(made) % 17 or not len(seen) or not len(made):
        raise SourceError(
            f"{str(factors)!r} has {len(seen)} numbers, {str(poses)!r} {len(made)}", allowed="8 a line, and 17 a line"
        )
    table, place = seen.reshape(-1, 8), made.reshape(-1, 17)
    if not np.isfinite(table[:, :2]).all():
        raise SourceError(
            f"{str(factors)!r} has numbers of cameras or points that are not finite", allowed="whole numbers"
        )
    ids = place[:, 0].astype(np.int64)
    _, camera = _numbered(ids, table[:, 0].astype(np.int64), factors)
    tracks, first, point = np.unique(table[:, 1].astype(np.int64), return_index=True, return_inverse=True)
    matrix = place[:, 1:].reshape(-1, 4, 4)
    turn, move = matrix[:, :3, :3], matrix[:, :3, 3]
    start = np.einsum("nij,nj->ni", turn[camera[first]], table[first, 5:]) + move[camera[first]]

    from scipy.spatial.transform import Rotation

    back = Rotation.from_matrix(turn).inv()
    return Bundle(
        cameras=np.concatenate([back.as_rotvec(), -back.apply(move)], axis=1),
        points=start,
        observations=np.stack([camera, point.reshape(-1)], axis=1),
        measured=table[:, 2:5],
        model="stereo",
        calibration=known[[0, 1, 3, 4, 5]],
        attrs={"source": Path(factors).name, "images": ids.tolist(), "tracks": tracks.tolist()},
    )


def _numbered(known: Array, wanted: Array, path: str | Path) -> tuple[Array, Array]:
    order = np.argsort(known, kind="stable")
    found = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
    wrong = np.flatnonzero(known[found] != wanted)
    if len(wrong):
        raise SourceError(
            f"{str(path)!r}: observation {wrong[0]} is of camera {wanted[wrong[0]]}",
            allowed=f"cameras {known.tolist()!r}",
        )
    return known, found
