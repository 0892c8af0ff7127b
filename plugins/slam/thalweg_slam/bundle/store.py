"""Bundles in one zarr store, ragged: one bundle, or all windows of a drive, without padding.

ba/camera_ptr, ba/point_ptr, ba/observation_ptr (W + 1)    where each window begins
ba/cam (C, 6 | 9), ba/fixed (C), ba/point (Q, 3)           as `Bundle` has them
ba/obs_ij (O, 2), of its own window; ba/obs_uv (O, 2 | 3)
ba/K (W, n)                                                calibrations
truth/t (C, 3), truth/q (C, 4)                             camera to world, if it is known
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from thalweg import SourceError

from ..trajectory import Trajectory
from .problem import Array, Bundle

SCHEMA = "ba/1"
ROWS = 65_536
"""Of a chunk."""


def write_bundles(url: str | Path, bundles: Sequence[Bundle], *, truths: Sequence[Trajectory] = ()) -> None:
    """Write bundles of one kind of camera, without their priors. Raises `SourceError` for others."""
    import zarr

    kinds = {each.model for each in bundles}
    if len(kinds) != 1 or any(each.priors for each in bundles) or len(truths) not in (0, len(bundles)):
        raise SourceError(
            f"{len(bundles)} bundles of {sorted(kinds)}, {len(truths)} truths",
            allowed="one kind of camera in a store, no priors, and a truth for each or none",
        )
    root = zarr.open_group(str(url), mode="w", zarr_format=3)
    root.attrs.update(
        schema=SCHEMA,
        model=kinds.pop(),
        quat="xyzw",
        units={"cam": "rad, m, px", "point": "m", "obs_uv": "px", "t": "m", "q": "1"},
        sigma=[each.sigma for each in bundles],
        source=[str(each.attrs.get("source", "")) for each in bundles],
    )
    arrays: dict[str, Array] = {
        "ba/camera_ptr": _pointer([len(each) for each in bundles]),
        "ba/point_ptr": _pointer([len(each.points) for each in bundles]),
        "ba/observation_ptr": _pointer([len(each.observations) for each in bundles]),
        "ba/cam": np.concatenate([each.cameras for each in bundles]),
        "ba/fixed": np.concatenate([each.fixed for each in bundles]),
        "ba/point": np.concatenate([each.points for each in bundles]),
        "ba/obs_ij": np.concatenate([each.observations for each in bundles]),
        "ba/obs_uv": np.concatenate([each.measured for each in bundles]),
        "ba/K": np.stack([each.calibration for each in bundles]),
    }
    if truths:
        arrays["truth/t"] = np.concatenate([each.translation for each in truths])
        arrays["truth/q"] = np.concatenate([each.rotation for each in truths])
    for name, values in arrays.items():
        chunks = tuple(max(1, min(ROWS, size)) for size in values.shape)
        root.create_array(name, data=np.ascontiguousarray(values), chunks=chunks)


def read_bundles(url: str | Path) -> tuple[list[Bundle], list[Trajectory]]:
    """All bundles of a store, and their truths if it has them. Raises `SourceError` if it is not one."""
    import zarr

    try:
        root = zarr.open_group(str(url), mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise SourceError(f"{str(url)!r} is no zarr group: {error}", allowed="a store of `write_bundles`") from None
    if root.attrs.get("schema") != SCHEMA:
        raise SourceError(f"{str(url)!r} has schema {root.attrs.get('schema')!r}", allowed=SCHEMA)

    def whole(name: str) -> Any:
        return np.asarray(root[name][...])  # type: ignore[index]

    names = ("cam", "fixed", "point", "obs_ij", "obs_uv", "K")
    camera, fixed, point, ends, measured, calibration = (whole(f"ba/{name}") for name in names)
    starts = [whole(f"ba/{name}_ptr") for name in ("camera", "point", "observation")]
    truth = (whole("truth/t"), whole("truth/q")) if "truth" in root else None
    bundles, truths = [], []
    for i in range(len(starts[0]) - 1):
        c, p, o = (slice(each[i], each[i + 1]) for each in starts)
        bundles.append(
            Bundle(
                cameras=camera[c],
                points=point[p],
                observations=ends[o],
                measured=measured[o],
                model=root.attrs["model"],  # type: ignore[arg-type]
                calibration=calibration[i],
                fixed=fixed[c],
                sigma=root.attrs["sigma"][i],  # type: ignore[index,arg-type]
                attrs={"source": root.attrs["source"][i]},  # type: ignore[index]
            )
        )
        if truth is not None:
            truths.append(Trajectory(truth[0][c], truth[1][c]))
    return bundles, truths


def _pointer(counts: list[int]) -> Array:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
