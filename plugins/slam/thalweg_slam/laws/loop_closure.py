"""Loops close."""

from __future__ import annotations

import numpy as np
import xarray as xr
from thalweg import Law, Signature

from ..graph import LOOP
from ..layout import INPUTS, graph_of, needs_poses, poses_of
from ..residuals import whitened


class LoopClosure(Law):
    r"""A trajectory is where its loops say: $\Omega^{1/2} \log(Z_{ij}^{-1} T_i^{-1} T_j) = 0$ for each loop edge.

    The residual is `loop(loop, component)`, in standard deviations of the measurement; `loop_sample(loop)` says which
    sample a loop belongs to. In 3-D it weighs what the convention says. Loops are noisy, so they are never all met: a
    residual of about 1 is one that agrees with its noise.
    """

    def check(self, given: Signature) -> None:
        needs_poses(given, by=self.name)

    def reads(self) -> tuple[str, ...]:
        return INPUTS

    def residual(self, fields: xr.Dataset, context: xr.Dataset, grid: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        size = 3 if context.sizes["axis"] == 2 else 6
        errors = [np.zeros((0, size))]
        for number in range(context.sizes["sample"]):
            graph = graph_of(context, number)
            loops = np.flatnonzero(graph.kind == LOOP)
            errors.append(whitened(graph, poses_of(fields, number), edges=loops))
        whose = np.repeat(np.arange(len(errors) - 1), [len(each) for each in errors[1:]])
        array = xr.DataArray(
            np.concatenate(errors),
            {"loop_sample": ("loop", whose)},
            dims=("loop", "component"),
            attrs={"units": "1"},
        )
        return array.to_dataset(name="loop")
