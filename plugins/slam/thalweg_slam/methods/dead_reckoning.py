"""Odometry alone."""

from __future__ import annotations

import numpy as np
import xarray as xr
from thalweg import Signature, Solver

from ..layout import estimate_of, graph_of, needs_graphs
from ..poses import Array
from ..spanning import composed


class DeadReckoning(Solver):
    """Composes odometry from the first pose on: the trajectory of a robot that never recognises a place.

    Where odometry has a gap the poses after it hang on a loop; parts that nothing joins begin at poses of their own.
    Poses that are fixed, as all of another program's trajectory, are where the source has them. Nothing to learn.
    """

    def check(self, given: Signature) -> None:
        needs_graphs(given, by=self.name)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:  # noqa: ARG002
        poses = []
        for number in range(inputs.sizes["sample"]):
            graph = graph_of(inputs, number)
            measured, start = (graph.edge_translation, graph.edge_rotation), (graph.translation, graph.rotation)
            found, _ = composed(graph.edges, measured, graph.kind, start=start, roots=graph.fixed)
            poses.append((_fixed(graph.fixed, start[0], found[0]), _fixed(graph.fixed, start[1], found[1])))
        return estimate_of(poses, inputs)


def _fixed(fixed: Array, given: Array, composed: Array) -> Array:
    kept: Array = np.where(fixed.reshape(-1, *[1] * (given.ndim - 1)), given, composed)
    return kept
