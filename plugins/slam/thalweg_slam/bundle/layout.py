"""Bundles as fields along `sample`: what the pipeline maps over.

    inputs    camera_parameters (sample, node, parameter), trajectory (sample, node)
              point_position (sample, point, axis)
              sighting_ends (sample, sighting, end), sighting_measured (sample, sighting, image)
    truth     position (sample, node, axis), rotation (sample, node, turn), trajectory (sample, node)

A sample is a window of cameras, padded to the largest as pose graphs are (`thalweg_slam.layout`): -1 as `trajectory`
and `sighting_ends`, NaN as `point_position`. Poses of the truth are camera to world; NaN where they are not known.
Where loops were sought the inputs are those of a pose graph as well, whose edges are the loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from thalweg import HandshakeError, Pairs, Signature, SourceError

from ..graph import Graph
from ..layout import DIMS, TRUTH, attributes, packed
from ..layout import INPUTS as GRAPHS
from ..poses import identity
from ..problem import Problem
from ..trajectory import Trajectory
from .problem import Array, Bundle

INPUTS = ("camera_parameters", "trajectory", "point_position", "sighting_ends", "sighting_measured")


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
    nodes = max(len(each) for each in bundles)
    points = max(len(each.points) for each in bundles)
    seen = max(len(each.observations) for each in bundles)
    blank = identity(nodes, dims=3)
    fields: dict[str, list[Array]] = {name: [] for name in {*INPUTS, *TRUTH}}
    for each, truth in zip(bundles, truths, strict=True):
        count = len(each)
        known = truth or Trajectory(np.full((count, 3), np.nan), np.full((count, 4), np.nan))
        fields["camera_parameters"].append(_padded(each.cameras, nodes, 0.0))
        fields["trajectory"].append(_padded(np.zeros(count, np.int32), nodes, -1))
        fields["point_position"].append(_padded(each.points, points, np.nan))
        fields["sighting_ends"].append(_padded(each.observations, seen, -1))
        fields["sighting_measured"].append(_padded(each.measured, seen, 0.0))
        fields["position"].append(np.concatenate([known.translation, blank[0][count:]]))
        fields["rotation"].append(np.concatenate([known.rotation, blank[1][count:]]))
    dims = {
        "camera_parameters": ("node", "parameter"),
        "trajectory": ("node",),
        "point_position": ("point", "axis"),
        "sighting_ends": ("sighting", "end"),
        "sighting_measured": ("sighting", "image"),
        "position": ("node", "axis"),
        "rotation": ("node", "turn"),
    }
    told = attributes(dims=3, convention="log", loops=0)
    camera = {"model": whole.model, "calibration": whole.calibration.tolist(), "sigma": whole.sigma}
    units = {
        "camera_parameters": {"units": "1", "long_name": "rotation vector, translation (world to camera), f, k1, k2"},
        "point_position": {"units": "m", "long_name": "where adjustment begins"},
        "sighting_ends": {"units": "1", "long_name": "numbers of camera and point, -1 where there is none"},
        "sighting_measured": {"units": "px", **camera},
        **{name: told[name] for name in TRUTH},
    }
    variables = {name: (("sample", *each), np.stack(fields[name]), units[name]) for name, each in dims.items()}
    inputs = tuple(INPUTS)
    if loops:
        # A field of no size cannot be stored.
        most = max(1, *(len(each.edges) for each in loops))
        made = [packed(Problem(each), nodes=nodes, edges=most) for each in loops]
        told = attributes(dims=3, convention="log", loops=most)
        for name in (name for name in GRAPHS if name not in variables):
            variables[name] = (("sample", *DIMS[name]), np.stack([each[name] for each in made]), told[name])
        inputs = tuple(dict.fromkeys((*INPUTS, *GRAPHS)))
    coords = {"sample": np.arange(len(bundles)), "first_camera": ("sample", list(first))}
    index = Pairs.over("sample", len(bundles), inputs=inputs, truth=tuple(TRUTH))
    return index.on(xr.Dataset(variables, coords, dict(attrs)))


def bundle_of(inputs: xr.Dataset, number: int) -> Bundle:
    """The bundle of one sample, without its padding."""
    one = {name: inputs[name].isel(sample=number).values for name in INPUTS}
    told = inputs["sighting_measured"].attrs
    kept = one["sighting_ends"][:, 0] >= 0
    points = np.isfinite(one["point_position"]).all(axis=1)
    return Bundle(
        cameras=one["camera_parameters"][one["trajectory"] >= 0],
        points=one["point_position"][points],
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


def _padded(values: Array, size: int, blank: float) -> Array:
    filling = np.full((size - len(values), *values.shape[1:]), blank, values.dtype)
    return np.concatenate([values, filling])
