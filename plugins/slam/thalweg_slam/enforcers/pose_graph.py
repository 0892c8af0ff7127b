"""Pose graph optimisation."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt
from thalweg import EstimateError, Held, Law, OutputEnforcer, Signature, ThalwegError

from ..graph import LOOP, Graph
from ..laws.loop_closure import LoopClosure
from ..layout import estimate_of, graph_of, needs_poses, own, poses_of, with_steps
from ._status import Status

if TYPE_CHECKING:
    from ..posegraph.result import Result
    from ..posegraph.robust import Robust

log = logging.getLogger("thalweg")


class PoseGraphOptimisation(OutputEnforcer):
    """The trajectory with the least squares of all its edges, odometry and loops, found by Gauss-Newton.

    The first pose (or what else the graph fixes) stays where the estimate has it. An estimate that says how sure it is
    of its steps (`step_information`) has them in the graph in place of the odometry that was measured. Beside the poses
    the estimate gets `converged`, `chi2`, `freedom` (measurements less unknowns), `iterations`, `products` (of
    conjugate gradients) and `rejected` (edges that weigh less than 0.01 by the robust loss) along `sample`; the log
    says them, with a warning where a solve did not converge or loops are rejected; `ate` and `rpe` record the first.
    """

    cite: ClassVar[str] = "10.1109/MITS.2010.939925 10.1109/ICRA.2015.7139836"
    takes: ClassVar[tuple[type[Law], ...]] = (LoopClosure,)

    precision: str = Field(
        "mixed-adaptive",
        description="precision of the linear algebra: double, double-static, single-static, mixed or "
        "mixed-adaptive; the residual and accepted steps are always in double",
    )
    initial: Literal["auto", "chordal", "odometry", "spanning-tree", "estimate"] = Field(
        "auto", description="initial poses; auto: the chordal solution, or, with `robust`, the best of several starts"
    )
    method: Literal["gauss-newton", "levenberg-marquardt"] = Field(
        "gauss-newton", description="method of nonlinear least squares"
    )
    robust: Literal["none", "huber", "cauchy", "geman-mcclure"] = Field(
        "none", description="robust loss, which grows more slowly than the square, for loops that may be false"
    )
    scale: PositiveFloat = Field(
        1.345,
        description="scale of the robust loss, in standard deviations of a loop's residual: where it begins to "
        "differ from the square",
    )
    loops_only: bool = Field(
        True, description="whether the robust loss applies to loops only, not to odometry and priors"
    )
    gauge: Literal["first", "each"] = Field(
        "first",
        description="pose that is fixed: the first (a graph in several components is then an error), or the "
        "first of each component",
    )
    tolerance: PositiveFloat = Field(1e-8, description="relative decrease of the cost at which the iteration ends")
    iterations: PositiveInt = Field(
        1000, description="largest number of iterations for one graph; a graph that needs more did not converge"
    )
    without_loops: Literal["refuse", "keep"] = Field(
        "refuse", description="a graph without loops: an error, or kept as it is"
    )

    def check(self, given: Signature) -> None:
        from ..posegraph.precision import precision

        precision(self.precision)
        needs_poses(given, by=self.name)

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        poses, status = [], Status()
        for number in range(context.sizes["sample"]):
            graph = graph_of(context, number)
            at = poses_of(estimate, number)
            graph = replace(graph, translation=at[0], rotation=at[1], given=True)
            if "step_information" in estimate:
                graph = with_steps(graph, estimate["step_information"].values[own(estimate, "node", number)])
            found = self._optimised(graph)
            poses.append(at if found is None else (found.graph.translation, found.graph.rotation))
            status.add(found, source=str(graph.attrs["source"]))
        status.say(log)
        made = estimate_of(poses, context)
        return estimate.assign(
            {name: estimate[name].copy(data=made[name].transpose(*estimate[name].dims).values) for name in _POSES},
        ).assign({name: ("sample", values, {"units": "1"}) for name, values in status.arrays().items()})

    def _robust(self) -> Robust | None:
        from ..posegraph.robust import Robust

        return None if self.robust == "none" else Robust(self.robust, self.scale, self.loops_only)

    def _optimised(self, graph: Graph) -> Result | None:
        from ..posegraph.optimise import optimise

        source = graph.attrs["source"]
        if not (graph.kind == LOOP).any():
            if self.without_loops == "keep":
                return None
            raise EstimateError(
                f"{source} has no loop: there is nothing to hold",
                allowed="graphs in which a place is recognised",
                advice="say `without_loops: keep` to leave such a trajectory as it is, or hold no law",
            )
        initial = "given" if self.initial == "estimate" else self.initial
        try:
            return optimise(
                graph,
                self.precision,
                method=self.method,
                initial=initial,
                robust=self._robust(),
                gauge=self.gauge,
                tolerance=self.tolerance,
                iterations=self.iterations,
            )
        except ThalwegError as error:
            error.given = f"{source}: {error.given}"
            error.advice = f"{error.advice}; add `validate-graph` to preprocess, which mends what it can"
            raise


_POSES = ("position", "rotation")
