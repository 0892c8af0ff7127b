"""Problems of Blender's motion tracker: the binary format of libmv."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from thalweg import SourceError

from ..problem import Array, Bundle
from .lines import content


def read_libmv(path: str | Path) -> Bundle:
    """A problem of libmv: rotation (column-major), translation per camera; one Brown-Conrady calibration, held.

    Images and tracks may have any numbers: `attrs` keeps them as `images` and `tracks`. Markers of an image or a track
    that has no camera or point are left out, and counted in `attrs["orphans"]`. Raises `SourceError`.
    """
    raw = content(path)
    if raw[:1] not in (b"v", b"V") or raw[1:2] not in (b"P", b"N"):
        raise SourceError(
            f"{str(path)!r} begins with {raw[:2]!r}", allowed="'v' or 'V' (byte order), 'P' or 'N' (markers)"
        )
    order = "<" if raw[:1] == b"v" else ">"
    at = 2

    def take(kind: np.dtype[np.void], count: int) -> Array:
        nonlocal at
        end = at + kind.itemsize * count
        if count < 0 or end > len(raw):
            raise SourceError(
                f"{str(path)!r} ends at byte {len(raw)}, {count} records of {kind.itemsize} bytes are due at {at}"
            )
        found = np.frombuffer(raw, kind, count, at)
        at = end
        return found

    def table(*fields: tuple[str, str, int]) -> Array:
        (count,) = take(np.dtype([("n", order + "i4")]), 1)["n"]
        return take(np.dtype([(name, order + kind, (size,)) for name, kind, size in fields]), int(count))

    calibration = take(np.dtype([("v", order + "f4", (8,))]), 1)["v"][0].astype(float)
    if raw[1:2] == b"N":
        calibration = np.array([1.0, 0, 0, 0, 0, 0, 0, 0])
    camera = table(("image", "i4", 1), ("turn", "f4", 9), ("move", "f4", 3))
    point = table(("track", "i4", 1), ("x", "f4", 3))
    marker = table(("image", "i4", 1), ("track", "i4", 1), ("uv", "f4", 2))
    if not (len(camera) and len(point) and len(marker)):
        raise SourceError(
            f"{str(path)!r} has {len(camera)} cameras, {len(point)} points, {len(marker)} markers",
            allowed="some of each",
        )
    images, tracks = camera["image"][:, 0], point["track"][:, 0]
    i, j = _places(images, marker["image"][:, 0]), _places(tracks, marker["track"][:, 0])
    kept = (i >= 0) & (j >= 0)

    from scipy.spatial.transform import Rotation

    if not np.isfinite(camera["turn"]).all():
        raise SourceError(f"{str(path)!r} has a camera whose rotation is not finite", allowed="rotation matrices")
    turns = camera["turn"].astype(float).reshape(-1, 3, 3).transpose(0, 2, 1)
    return Bundle(
        cameras=np.concatenate([Rotation.from_matrix(turns).as_rotvec(), camera["move"].astype(float)], axis=1),
        points=point["x"],
        observations=np.stack([i[kept], j[kept]], axis=1),
        measured=marker["uv"][kept],
        model="brown",
        calibration=calibration,
        attrs={
            "source": Path(path).name,
            "images": images.tolist(),
            "tracks": tracks.tolist(),
            "orphans": int((~kept).sum()),
            "normalised": raw[1:2] == b"N",
        },
    )


def _places(known: Array, wanted: Array) -> Array:
    """Where each wanted number stands among the known, or -1."""
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    found = order[place]
    return np.where(known[found] == wanted, found, -1)
