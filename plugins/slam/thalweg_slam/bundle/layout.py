"""Bundles as fields in rows: what the pipeline maps over.

    inputs    camera_parameters (node, parameter), trajectory (node)
              point_position (point, axis)
              sighting_ends (sighting, end), sighting_measured (sighting, image)
    truth     position (node, axis), rotation (node, turn), trajectory (node)

A sample is a window of cameras, with as many cameras, points and sightings as it has (as pose graphs,
`thalweg_slam.layout`); `sighting_ends` counts its own cameras and points, and is -1 for a sighting that was left out.
Poses of the truth are camera to world; NaN where they are not known. Where loops were sought the inputs are those of a
pose graph as well, whose edges are the loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from thalweg import HandshakeError, Ragged, Signature, SourceError

from ..graph import Graph
from ..layout import DIMS, TRUTH, attributes, chunked, in_rows, own, packed
from ..layout import INPUTS as GRAPHS
from ..problem import Problem
from ..trajectory import Trajectory
from .problem import Array, Bundle

INPUTS = ("camera_parameters", "trajectory", "point_position", "sighting_ends", "sighting_measured")
_DIMS = {
    "camera_parameters": ("node", "parameter"),
    "trajectory": ("node",),
    "point_position": ("point", "axis"),
    "sighting_ends": ("sighting", "end"),
    "sighting_measured": ("sighting", "image"),
    "position": ("node", "axis"),
    "rotation": ("node", "turn"),
}


def dataset(
    bundles: Sequence[Bundle],
    truths: Sequence[Trajectory | None],
    *,
    first: Sequence[int],
    attrs: Mapping[str, Any],
    loops: Sequence[Graph] = (),
) -> xr.Dataset:
    """Bundles, the truth of their cameras, the numbers of their first cameras, and their loops.

    Raises `SourceError` unless all are of one camera.
    """
    whole = bundles[0]
    for each in bundles:
        if (each.model, each.sigma) != (whole.model, whole.sigma) or (each.calibration != whole.calibration).any():
            raise SourceError(
                f"bundles of {whole.model!r}, {whole.calibration.tolist()!r} and {each.model!r}, "
                f"{each.calibration.tolist()!r}",
                allowed="one camera, with one calibration and sigma, in a run",
            )
    known = [
        truth or Trajectory(np.full((len(each), 3), np.nan), np.full((len(each), 4), np.nan))
        for each, truth in zip(bundles, truths, strict=True)
    ]
    parts: dict[str, list[Array]] = {
        "camera_parameters": [each.cameras for each in bundles],
        "trajectory": [np.zeros(len(each), np.int32) for each in bundles],
        "point_position": [each.points for each in bundles],
        "sighting_ends": [each.observations for each in bundles],
        "sighting_measured": [each.measured for each in bundles],
        "position": [each.translation for each in known],
        "rotation": [each.rotation for each in known],
    }
    told = attributes(dims=3, convention="log")
    camera = {"model": whole.model, "calibration": whole.calibration.tolist(), "sigma": whole.sigma}
    units = {
        "camera_parameters": {"units": "1", "long_name": "rotation vector, translation (world to camera), f, k1, k2"},
        "point_position": {"units": "m", "long_name": "where adjustment begins"},
        "sighting_ends": {"units": "1", "long_name": "numbers of camera and point, -1 of a sighting that was left out"},
        "sighting_measured": {"units": "px", **camera},
        **{name: told[name] for name in TRUTH},
    }
    variables = {name: (_DIMS[name], np.concatenate(each), units[name]) for name, each in parts.items()}
    counts = {
        "node": [len(each) for each in bundles],
        "point": [len(each.points) for each in bundles],
        "sighting": [len(each.observations) for each in bundles],
    }
    inputs = tuple(INPUTS)
    if loops:
        made = in_rows([packed(Problem(each)) for each in loops])
        counts["edge"] = [len(each.edges) for each in loops]
        for name in (name for name in GRAPHS if name not in variables):
            variables[name] = (DIMS[name], made[name], told[name])
        inputs = tuple(dict.fromkeys((*INPUTS, *GRAPHS)))
    coords = {"sample": np.arange(len(bundles)), "first_camera": ("sample", list(first))}
    data = chunked(xr.Dataset(variables, coords, dict(attrs)), tuple(counts), pieces=len(bundles))
    return Ragged.over("sample", counts, inputs=inputs, truth=tuple(TRUTH)).on(data)


def bundle_of(inputs: xr.Dataset, number: int) -> Bundle:
    """The bundle of one sample."""
    one = {name: inputs[name].values[own(inputs, _DIMS[name][0], number)] for name in INPUTS}
    told = inputs["sighting_measured"].attrs
    kept = one["sighting_ends"][:, 0] >= 0
    return Bundle(
        cameras=one["camera_parameters"],
        points=one["point_position"],
        observations=one["sighting_ends"][kept],
        measured=one["sighting_measured"][kept],
        model=told["model"],
        calibration=np.asarray(told["calibration"], float),
        sigma=float(told["sigma"]),
        attrs={"source": f"sample {inputs['sample'].values[number] if 'sample' in inputs.coords else number}"},
    )


def needs_bundles(given: Signature, *, by: str) -> None:
    """Raise `HandshakeError` unless bundles are given."""
    for name in INPUTS:
        if name not in given:
            raise HandshakeError(
                f"{by} needs {name!r}, which is not there", allowed=str(given), advice="ingest a bundle: `bundle`"
            )
