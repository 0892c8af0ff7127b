"""Bundles as fields along `sample`: what the pipeline maps over.

    inputs    camera_parameters (sample, node, parameter), trajectory (sample, node)
              point_position (sample, point, axis), sighting_ends (sample, sighting, end), sighting (sample, sighting, image)
    truth     position (sample, node, axis), rotation (sample, node, turn), trajectory (sample, node)

A sample is a window of cameras, padded to the largest as pose graphs are (`thalweg_slam.layout`): -1 as `trajectory`
and `sighting_ends`, NaN as `point_position`. Poses of the truth are camera to world; NaN where they are not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from thalweg import Signature
from thalweg.errors import HandshakeError

from ..layout import TRUTH, attributes
from ..poses import identity
from ..trajectory import Trajectory
from .odometry import Window
from .problem import Array, Bundle

INPUTS = ("camera_parameters", "trajectory", "point_position", "sighting_ends", "sighting")
SAMPLES: Mapping[str, Any] = {"kind": "pairs", "dim": "sample", "inputs": list(INPUTS), "truth": list(TRUTH)}


def dataset(parts: Sequence[Window], truth: Trajectory | None, *, attrs: Mapping[str, Any]) -> xr.Dataset:
    """Windows of one bundle, and the truth of their cameras."""
    whole = parts[0].bundle
    nodes = max(len(each.cameras) for each in parts)
    points = max(len(each.points) for each in parts)
    seen = max(len(each.bundle.observations) for each in parts)
    blank = identity(nodes, dims=3)
    fields: dict[str, list[Array]] = {name: [] for name in {*INPUTS, *TRUTH}}
    for each in parts:
        count = len(each.cameras)
        known = (
            Trajectory(*(np.full((count, size), np.nan) for size in (3, 4))) if truth is None else truth[each.cameras]
        )
        fields["camera_parameters"].append(_padded(each.bundle.cameras, nodes, 0.0))
        fields["trajectory"].append(_padded(np.zeros(count, np.int32), nodes, -1))
        fields["point_position"].append(_padded(each.bundle.points, points, np.nan))
        fields["sighting_ends"].append(_padded(each.bundle.observations, seen, -1))
        fields["sighting"].append(_padded(each.bundle.measured, seen, 0.0))
        fields["position"].append(np.concatenate([known.translation, blank[0][count:]]))
        fields["rotation"].append(np.concatenate([known.rotation, blank[1][count:]]))
    dims = {
        "camera_parameters": ("node", "parameter"),
        "trajectory": ("node",),
        "point_position": ("point", "axis"),
        "sighting_ends": ("sighting", "end"),
        "sighting": ("sighting", "image"),
        "position": ("node", "axis"),
        "rotation": ("node", "turn"),
    }
    told = attributes(dims=3, convention="log", loops=0)
    camera = {"model": whole.model, "calibration": whole.calibration.tolist(), "sigma": whole.sigma}
    units = {
        "camera_parameters": {"units": "1", "long_name": "rotation vector, translation (world to camera), f, k1, k2"},
        "point_position": {"units": "m", "long_name": "where adjustment begins"},
        "sighting_ends": {"units": "1", "long_name": "numbers of camera and point, -1 where there is none"},
        "sighting": {"units": "px", **camera},
        **{name: told[name] for name in TRUTH},
    }
    variables = {name: (("sample", *each), np.stack(fields[name]), units[name]) for name, each in dims.items()}
    first = ("sample", [int(each.cameras[0]) for each in parts])
    coords = {"sample": np.arange(len(parts)), "first_camera": first}
    return xr.Dataset(variables, coords, {**attrs, "samples": dict(SAMPLES)})


def bundle_of(inputs: xr.Dataset, number: int) -> Bundle:
    """The bundle of one sample, without its padding."""
    one = {name: inputs[name].isel(sample=number).values for name in INPUTS}
    told = inputs["sighting"].attrs
    kept = one["sighting_ends"][:, 0] >= 0
    points = np.isfinite(one["point_position"]).all(axis=1)
    return Bundle(
        cameras=one["camera_parameters"][one["trajectory"] >= 0],
        points=one["point_position"][points],
        observations=one["sighting_ends"][kept],
        measured=one["sighting"][kept],
        model=told["model"],
        calibration=np.asarray(told["calibration"], float),
        sigma=float(told["sigma"]),
        attrs={"source": f"sample {inputs['sample'].values[number] if 'sample' in inputs.coords else number}"},
    )


def needs_bundles(given: Signature, *, by: str) -> None:
    """Raise `HandshakeError` unless bundles are given."""
    for name in (*INPUTS, *TRUTH):
        if name not in given:
            raise HandshakeError(
                f"{by} needs {name!r}, which is not there", allowed=str(given), advice="ingest a bundle: `bundle`"
            )


def _padded(values: Array, size: int, blank: float) -> Array:
    filling = np.full((size - len(values), *values.shape[1:]), blank, values.dtype)
    return np.concatenate([values, filling])
