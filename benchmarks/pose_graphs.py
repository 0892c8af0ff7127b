"""Pose graphs: our solver in four precisions against GTSAM and g2opy, one thread, from one start, in turn.

    python benchmarks/pose_graphs.py [--data FOLDER] [--repeats 3] [--graphs sphere2500,torus3D] [--growth]

Processor seconds, medians. `solve` begins with arrays and ends with poses: for us checks, roots of the information,
the order of elimination, factors and iterations; for the peers `optimize` alone, their graphs having been built before.
All begin at our chordal solution. GTSAM stops by the same relative decrease, 1e-8; g2opy has no such rule in Python,
and is given as many iterations as it wants for it, found beforehand. GTSAM has our residual; g2o has (t, vec q), so
that its optimum is another. Peers are an extra, pip install 'thalweg[slam-peers]'; those absent are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from thalweg_slam import geometry
from thalweg_slam.formats.g2o import read_g2o
from thalweg_slam.graph import Graph
from thalweg_slam.posegraph.optimise import Result, optimise
from thalweg_slam.posegraph.synthetic import grid

DATA = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data" / "slam" / "g2o"
SPACE = "smallGrid3D", "parking-garage", "sphere2500", "torus3D", "cubicle"
PLANE = "CSAIL", "intel", "INTEL_carlone", "manhattan", "M3500", "M3500a", "kitti_00", "kitti_05"
OURS = ("double", "double-static", "single-static", "mixed", "mixed-adaptive")
Way = Callable[[], tuple[float, float, int]]


def load(path: Path) -> Graph:
    graph = read_g2o(path)
    if path.name.startswith("cubicle"):
        graph = isotropic(graph)
    return graph


def isotropic(graph: Graph) -> Graph:
    """Two numbers an edge, as SE-Sync has them: the harmonic means of the variances' inverses."""
    information = np.zeros_like(graph.information)
    for first in (0, 3):
        part = graph.information[:, first : first + 3, first : first + 3]
        mean = 3 / np.trace(np.linalg.inv(part), axis1=1, axis2=2)
        for k in range(first, first + 3):
            information[:, k, k] = mean
    return dataclasses.replace(graph, information=information)


def ours(graph: Graph, precision: str) -> Way:
    def way() -> tuple[float, float, int]:
        found = optimise(graph, precision, initial="given")
        return found.timing.total, found.chi2, len(found.history)

    return way


def gtsam_ways(graph: Graph) -> dict[str, Way]:
    try:
        import gtsam
    except ImportError:
        return {}
    factors, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    space = graph.dims == 3
    turn = np.array([3, 4, 5, 0, 1, 2]) if space else np.arange(3)
    unit = gtsam.noiseModel.Constrained.All(6 if space else 3)

    def pose(rotation: Any, translation: Any) -> Any:
        if space:
            x, y, z, w = rotation
            return gtsam.Pose3(gtsam.Rot3(w, x, y, z), translation)
        return gtsam.Pose2(*translation, rotation)

    between = gtsam.BetweenFactorPose3 if space else gtsam.BetweenFactorPose2
    for n, (i, j) in enumerate(graph.edges.tolist()):
        noise = gtsam.noiseModel.Gaussian.Information(graph.information[n][np.ix_(turn, turn)], False)
        factors.add(between(i, j, pose(graph.edge_rotation[n], graph.edge_translation[n]), noise))
    for n in range(len(graph)):
        values.insert(n, pose(graph.rotation[n], graph.translation[n]))
    prior = gtsam.PriorFactorPose3 if space else gtsam.PriorFactorPose2
    factors.add(prior(0, pose(graph.rotation[0], graph.translation[0]), unit))

    def run(parameters: Any, optimiser: Any) -> Way:
        parameters.setRelativeErrorTol(1e-8)
        parameters.setAbsoluteErrorTol(0.0)

        def way() -> tuple[float, float, int]:
            start = time.thread_time()
            solver = optimiser(factors, values, parameters)
            found = solver.optimize()
            return time.thread_time() - start, 2 * factors.error(found), solver.iterations()

        return way

    return {
        "gtsam GN": run(gtsam.GaussNewtonParams(), gtsam.GaussNewtonOptimizer),
        "gtsam LM": run(gtsam.LevenbergMarquardtParams(), gtsam.LevenbergMarquardtOptimizer),
    }


def gtsam_start(graph: Graph) -> Way | None:
    """GTSAM's chordal initialisation; in the plane its `lago` takes diagonal noise alone."""
    try:
        import gtsam
    except ImportError:
        return None
    space = graph.dims == 3
    factors = gtsam.NonlinearFactorGraph()
    turn = np.array([3, 4, 5, 0, 1, 2]) if space else np.arange(3)
    for n, (i, j) in enumerate(graph.edges.tolist()):
        information = graph.information[n][np.ix_(turn, turn)]
        if space:
            x, y, z, w = graph.edge_rotation[n]
            moved = gtsam.Pose3(gtsam.Rot3(w, x, y, z), graph.edge_translation[n])
            factors.add(
                gtsam.BetweenFactorPose3(i, j, moved, gtsam.noiseModel.Gaussian.Information(information, False))
            )
        else:
            noise = gtsam.noiseModel.Diagonal.Precisions(np.diag(information))
            moved = gtsam.Pose2(*graph.edge_translation[n], graph.edge_rotation[n])
            factors.add(gtsam.BetweenFactorPose2(i, j, moved, noise))
    if space:
        factors.add(gtsam.PriorFactorPose3(0, gtsam.Pose3(), gtsam.noiseModel.Isotropic.Sigma(6, 1e-3)))
    else:
        factors.add(gtsam.PriorFactorPose2(0, gtsam.Pose2(), gtsam.noiseModel.Isotropic.Sigma(3, 1e-3)))

    def way() -> tuple[float, float, int]:
        start = time.thread_time()
        if space:
            gtsam.InitializePose3.initialize(factors)
        else:
            gtsam.lago.initialize(factors)
        return time.thread_time() - start, float("nan"), 0

    return way


def g2o_ways(graph: Graph) -> dict[str, Way]:
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

    probe = build()
    probe.compute_active_errors()
    before, wanted = probe.active_chi2(), 0
    while wanted < 30:
        wanted += 1
        probe.optimize(1)
        probe.compute_active_errors()
        after = probe.active_chi2()
        if abs(before - after) <= 1e-8 * before:
            break
        before = after

    def way() -> tuple[float, float, int]:
        optimiser = build()
        start = time.thread_time()
        optimiser.optimize(wanted)
        seconds = time.thread_time() - start
        optimiser.compute_active_errors()
        return seconds, optimiser.active_chi2(), wanted

    return {"g2opy GN": way}


def in_turn(ways: dict[str, Way], repeats: int) -> dict[str, tuple[list[float], float, int] | str]:
    found: dict[str, tuple[list[float], float, int] | str] = {}
    for name, way in ways.items():
        try:
            _, chi2, iterations = way()
            found[name] = ([], chi2, iterations)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {str(error).strip()[:50]}"
    for _ in range(repeats):
        for name, way in ways.items():
            row = found[name]
            if not isinstance(row, str):
                row[0].append(way()[0])
    return found


def compare(name: str, folder: Path, repeats: int) -> None:
    path = next(folder.glob(f"{name}.g2o*"), None)
    if path is None:
        print(f"{name}: not in the folder")
        return
    graph = load(path)
    first = optimise(graph, "double", iterations=0)
    start = first.graph
    ways: dict[str, Way] = {each: ours(start, each) for each in OURS}
    peers = {**gtsam_ways(start), **g2o_ways(start)}
    rows = in_turn({**ways, **peers}, repeats)
    print(f"{name}: {len(graph)} poses, {len(graph.edges)} edges")
    times = {each: statistics.median(row[0]) for each, row in rows.items() if not isinstance(row, str)}
    for each, row in rows.items():
        if isinstance(row, str):
            print(f"  {each:<16} {row}")
        else:
            print(f"  {each:<16}{times[each] * 1e3:>9.1f} ms{row[2]:>5} iterations   chi2 {row[1]:.9g}")
    best = min((times[each] for each in peers if each in times), default=float("nan"))
    pairs = zip(_seconds(rows["mixed"]), _seconds(rows["double-static"]), strict=True)
    print(
        f"  best peer / mixed-adaptive {best / times['mixed-adaptive']:.1f}, best peer / double"
        f" {best / times['double']:.1f}; mixed / double-static {statistics.median(a / b for a, b in pairs):.2f}"
    )

    def chordal() -> tuple[float, float, int]:
        return optimise(graph, "double", iterations=0).timing.initial, float("nan"), 0

    starts: dict[str, Way] = {"ours": chordal}
    peer = gtsam_start(graph)
    if peer is not None:
        starts["gtsam"] = peer
    for each, row in in_turn(starts, repeats).items():
        what = row if isinstance(row, str) else f"{statistics.median(row[0]) * 1e3:.1f} ms"
        print(f"  initialisation, {each}: {what}")


def _seconds(row: tuple[list[float], float, int] | str) -> list[float]:
    return [] if isinstance(row, str) else row[0]


def growth() -> None:
    print("poses, seconds of the default and microseconds a pose, MB of the factor; a grid in space, seed 0")
    for count in (100, 1_000, 10_000, 100_000):
        graph = grid(count, seed=0)
        found: Result = optimise(graph, initial="odometry", iterations=30)
        total = found.timing.total
        print(
            f"  {count:>7}{total:>10.3f}{total / count * 1e6:>10.1f}{found.factor_bytes / 1e6:>10.1f}"
            f"   {len(found.history)} iterations, chi2 per degree of freedom {found.chi2 / found.freedom:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--graphs", default=",".join(SPACE + PLANE))
    parser.add_argument("--growth", action="store_true")
    given = parser.parse_args()
    if given.growth:
        growth()
        return
    for name in given.graphs.split(","):
        compare(name, given.data, given.repeats)


if __name__ == "__main__":
    main()
