"""Odometry alone."""

from __future__ import annotations

import xarray as xr
from thalweg import Signature, Solver

from ..layout import estimate_of, graph_of, needs_graphs
from ..spanning import composed


class DeadReckoning(Solver):
    """Composes odometry from the first pose on: the trajectory of a robot that never recognises a place.

    Where odometry has a gap the poses after it hang on a loop; parts that nothing joins begin at poses of their own.
    Nothing to learn.
    """

    def check(self, given: Signature) -> None:
        needs_graphs(given, by=self.name)

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:  # noqa: ARG002
        poses = []
        for number in range(inputs.sizes["sample"]):
            graph = graph_of(inputs, number)
            measured, start = (graph.edge_translation, graph.edge_rotation), (graph.translation, graph.rotation)
            found, _ = composed(graph.edges, measured, graph.kind, start=start, roots=graph.fixed)
            poses.append(found)
        return estimate_of(poses, inputs)
