"""Visual odometry by bundle adjustment."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import thalweg
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from thalweg import Signature, Solver, ThalwegError

from ..formats._assembly import triangle
from ..layout import estimate_of, own
from .layout import bundle_of, needs_bundles

if TYPE_CHECKING:
    from ..graph import Graph
    from ..poses import Array
    from .problem import Bundle

log = logging.getLogger("thalweg")

_TOLD = ("converged", "cost", "iterations", "products", "left_out")
"""What is said of the windows of a sample: a part, a sum of squares, and counts."""


class WindowedBundleAdjustment(Solver):
    """Poses of cameras from where points were seen: least squares of reprojection errors over each sample.

    With `window`, over windows of its cameras, which Dask maps, and whose relative poses are chained. Beside the poses
    the estimate gets `step_information`, how sure each step from a pose to the next is, and `converged` (the part of
    the windows that did), `cost`, `iterations`, `products` (of conjugate gradients) and `left_out` (observations of
    points behind a camera) along `sample`; the log warns of windows that did not converge. Nothing to learn.
    """

    cite: ClassVar[str] = "10.1007/3-540-44480-7_21 10.1007/978-3-642-15552-9_3"

    window: NonNegativeInt = Field(0, description="cameras of a window; 0: all cameras of a sample at once")
    stride: PositiveInt = Field(1, description="cameras between the starts of two windows")
    precision: Literal["double", "mixed", "mixed-adaptive"] = Field(
        "mixed-adaptive", description="precision of the linear algebra; mixed: single precision, refined in double"
    )
    solver: Literal["schur", "cgnr"] = Field(
        "schur",
        description="solver of the normal equations: the Schur complement of the points (schur), or conjugate "
        "gradients (cgnr)",
    )
    robust: Literal["squared", "huber", "cauchy", "geman-mcclure"] = Field(
        "squared", description="kernel of the reprojection errors"
    )
    width: PositiveFloat = Field(1.0, description="width of the robust kernel, in standard deviations of a measurement")
    scheduler: Literal["synchronous", "threads"] = Field(
        "threads", description="Dask scheduler of the windows of a sample"
    )

    def check(self, given: Signature) -> None:
        needs_bundles(given, by=self.name)

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """The poses, how sure each step is (the upper triangle of 6 x 6), and what the windows told."""
        steps = thalweg.Field("step_information", ("node", "triangle"), "float64", "1")
        told = (thalweg.Field(name, ("sample",), "float64", "1") for name in _TOLD)
        return Signature((*truth.fields, steps, *told), {**truth.sizes, "triangle": 21})

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:  # noqa: ARG002
        poses: list[tuple[Array, Array]] = []
        sure = np.zeros((inputs.sizes["node"], 21))
        told: dict[str, list[float]] = {name: [] for name in _TOLD}
        for number in range(inputs.sizes["sample"]):
            bundle = bundle_of(inputs, number)
            try:
                graph = self._odometry(bundle)
            except ThalwegError as error:
                error.given = f"{bundle.attrs['source']}: {error.given}"
                raise
            report = graph.attrs["windows"]
            poses.append((graph.translation, graph.rotation))
            begin = own(inputs, "node", number).start
            sure[begin : begin + len(graph.edges)] = triangle(graph.information)
            lost = sum(not each["converged"] for each in report)
            if lost:
                log.warning("%s: %d of %d windows did not converge", bundle.attrs["source"], lost, len(report))
            told["converged"].append(1 - lost / max(1, len(report)))
            told["cost"].append(sum(each["cost"] for each in report))
            told["iterations"].append(sum(each["iterations"] for each in report))
            told["products"].append(sum(each["inner"] for each in report))
            told["left_out"].append(sum(each["left_out"] for each in report))
        return estimate_of(poses, inputs).assign(
            {
                "step_information": (("node", "triangle"), sure, {"units": "1"}),
                **{name: ("sample", np.array(each, dtype=np.float64), {"units": "1"}) for name, each in told.items()},
            }
        )

    def _odometry(self, bundle: Bundle) -> Graph:
        from .odometry import adjust_windows

        size = self.window or len(bundle)
        return adjust_windows(
            bundle,
            size=min(size, len(bundle)),
            stride=self.stride,
            precision=self.precision,
            solver=self.solver,
            robust=self.robust,
            width=self.width,
            scheduler=self.scheduler,
        )
