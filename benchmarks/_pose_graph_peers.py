"""Pose graphs given to GTSAM, g2opy and Ceres; each way of solving one gives seconds, chi2, iterations, and its end."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from thalweg_slam import Graph, geometry

TOLERANCE = 1e-8
LIMIT = 30


class Run(NamedTuple):
    seconds: float
    chi2: float
    iterations: int
    initial: float = 0.0
    """Seconds for the initial poses, which `seconds` leaves out."""


Way = Callable[[], Run]


def gtsam_graph(graph: Graph, *, diagonal: bool = False) -> Any:
    import gtsam

    space = graph.dims == 3
    turn = np.array([3, 4, 5, 0, 1, 2]) if space else np.arange(3)
    between = gtsam.BetweenFactorPose3 if space else gtsam.BetweenFactorPose2
    factors = gtsam.NonlinearFactorGraph()
    for n, (i, j) in enumerate(graph.edges.tolist()):
        information = graph.information[n][np.ix_(turn, turn)]
        noise = (
            gtsam.noiseModel.Diagonal.Precisions(np.diag(information))
            if diagonal
            else gtsam.noiseModel.Gaussian.Information(information, False)
        )
        factors.add(between(i, j, _gtsam_pose(graph.edge_rotation[n], graph.edge_translation[n]), noise))
    prior = gtsam.PriorFactorPose3 if space else gtsam.PriorFactorPose2
    held = gtsam.noiseModel.Isotropic.Sigma(6 if space else 3, 1e-4)
    factors.add(prior(0, _gtsam_pose(graph.rotation[0], graph.translation[0]), held))
    return factors


def _gtsam_pose(rotation: Any, translation: Any) -> Any:
    import gtsam

    if len(translation) == 3:
        x, y, z, w = rotation
        return gtsam.Pose3(gtsam.Rot3(w, x, y, z), translation)
    return gtsam.Pose2(*translation, rotation)


def gtsam_ways(graph: Graph) -> dict[str, Way]:
    try:
        import gtsam
    except ImportError:
        return {}
    factors, values = gtsam_graph(graph), gtsam.Values()
    for n in range(len(graph)):
        values.insert(n, _gtsam_pose(graph.rotation[n], graph.translation[n]))

    def run(parameters: Any, optimiser: Any) -> Way:
        parameters.setRelativeErrorTol(TOLERANCE)
        parameters.setAbsoluteErrorTol(0.0)
        parameters.setMaxIterations(LIMIT)

        def way() -> Run:
            start = time.thread_time()
            solver = optimiser(factors, values, parameters)
            found = solver.optimize()
            return Run(time.thread_time() - start, 2 * factors.error(found), solver.iterations())

        return way

    return {
        "GTSAM GN": run(gtsam.GaussNewtonParams(), gtsam.GaussNewtonOptimizer),
        "GTSAM LM": run(gtsam.LevenbergMarquardtParams(), gtsam.LevenbergMarquardtOptimizer),
    }


def gtsam_start(graph: Graph) -> Callable[[], float] | None:
    """Seconds of GTSAM's chordal initialisation; in the plane its `lago` takes diagonal noise alone."""
    try:
        import gtsam
    except ImportError:
        return None
    space = graph.dims == 3
    factors = gtsam_graph(graph, diagonal=not space)

    def way() -> float:
        start = time.thread_time()
        if space:
            gtsam.InitializePose3.initialize(factors)
        else:
            gtsam.lago.initialize(factors)
        return time.thread_time() - start

    return way


def g2o_ways(graph: Graph, *, guess: bool = False) -> dict[str, Way]:
    """`guess`: from the poses that g2o itself composes, not from those of the graph."""
    try:
        import g2opy as g2o
    except ImportError:
        return {}
    space = graph.dims == 3

    def pose(rotation: Any, translation: Any) -> Any:
        if space:
            return g2o.Isometry3d(geometry.matrix(rotation, 3), translation[:, None])
        return g2o.SE2(*translation, rotation)

    def build() -> Any:
        optimiser = g2o.SparseOptimizer()
        block, linear = (
            (g2o.BlockSolverSE3, g2o.LinearSolverEigenSE3) if space else (g2o.BlockSolverSE2, g2o.LinearSolverEigenSE2)
        )
        optimiser.set_algorithm(g2o.OptimizationAlgorithmGaussNewton(block(linear())))
        vertex, edge = (g2o.VertexSE3, g2o.EdgeSE3) if space else (g2o.VertexSE2, g2o.EdgeSE2)
        for n in range(len(graph)):
            each = vertex()
            each.set_id(n)
            each.set_estimate(pose(graph.rotation[n], graph.translation[n]))
            each.set_fixed(n == 0)
            optimiser.add_vertex(each)
        for n, (i, j) in enumerate(graph.edges.tolist()):
            each = edge()
            each.set_vertex(0, optimiser.vertex(i))
            each.set_vertex(1, optimiser.vertex(j))
            each.set_measurement(pose(graph.edge_rotation[n], graph.edge_translation[n]))
            each.set_information(graph.information[n])
            optimiser.add_edge(each)
        optimiser.initialize_optimization()
        return optimiser

    def begin(optimiser: Any) -> float:
        start = time.thread_time()
        if guess:
            optimiser.compute_initial_guess()
        return time.thread_time() - start

    probe = build()
    begin(probe)
    probe.compute_active_errors()
    before, wanted = probe.active_chi2(), 0
    # A first step may go uphill, as Gauss-Newton's do: what stops it is a change too small, of either sign.
    while wanted < LIMIT:
        wanted += 1
        probe.optimize(1)
        probe.compute_active_errors()
        after = probe.active_chi2()
        if abs(before - after) <= TOLERANCE * before:
            break
        before = after
    else:
        return {"g2opy GN": _endless}

    def way() -> Run:
        optimiser = build()
        initial = begin(optimiser)
        start = time.thread_time()
        optimiser.optimize(wanted)
        seconds = time.thread_time() - start
        optimiser.compute_active_errors()
        return Run(seconds, optimiser.active_chi2(), wanted, initial)

    return {"g2opy GN": way}


def _endless() -> Run:
    raise RuntimeError(f"no end in {LIMIT} iterations")


def build_ceres(folder: Path) -> Path | None:
    compiler, program = shutil.which("g++"), folder / "ceres_pose_graph"
    if compiler is None:
        return None
    source = Path(__file__).parent / "peers" / "ceres_pose_graph.cpp"
    flags = ["-O3", "-march=native", "-DNDEBUG", "-I/usr/include/eigen3", "-lceres", "-lglog", "-lpthread"]
    done = subprocess.run([compiler, str(source), "-o", str(program), *flags], capture_output=True, check=False)
    return program if done.returncode == 0 else None


def ceres_ways(graph: Graph, program: Path, file: Path) -> dict[str, Way]:
    root = np.linalg.cholesky(graph.information).transpose(0, 2, 1)
    lines = [f"{graph.dims} {len(graph)} {len(graph.edges)}"]
    poses = np.column_stack([graph.translation, graph.rotation])
    lines += [" ".join(map(repr, row)) for row in poses.tolist()]
    measured = np.column_stack([graph.edge_translation, graph.edge_rotation, root.reshape(len(root), -1)])
    for (i, j), row in zip(graph.edges.tolist(), measured.tolist(), strict=True):
        lines.append(f"{i} {j} " + " ".join(map(repr, row)))
    file.write_text("\n".join(lines))

    def run(radius: str) -> Way:
        def way() -> Run:
            command = [str(program), str(file), radius]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            return Run(float(printed[0]), float(printed[2]), int(printed[1]))

        return way

    return {"Ceres LM": run("1e4"), "Ceres GN": run("1e16")}
