"""Pose graphs: our solver in five precisions against GTSAM, g2opy and Ceres, one thread, one start, in turn.

    python benchmarks/pose_graphs.py [--data FOLDER] [--repeats 5] [--graphs sphere2500,torus3D]

Processor seconds, medians; ratios are medians of those of one turn. A solve begins with arrays and ends with poses: for
us checks, roots of the information, the order of elimination, factors and iterations; for peers `optimize` alone, their
graphs having been built before. All begin at our chordal solution and end when an iteration changes chi2 by less than
1e-8 of it; g2opy has no such rule in Python and is given as many iterations as it wants for it, found beforehand.
"Ceres GN" has a first trust region of 1e16. A peer has solved a graph where it ends within 1e-4 of the least chi2 that
its residual was seen to have here; others are marked, and are no one's best. GTSAM has our residual, Log; g2o has
(t, vec q), half the angle, and Ceres (t, 2 vec q), so that their chi2 are their own.

With the start: our solve and chordal start; for each peer the least of its solve after GTSAM's own chordal start, and
of one from composed odometry (g2opy: from its own guess), if that is solved.
Peers are found where they are installed: pip install gtsam g2opy; a compiler and libceres-dev.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from _markdown import table
from _pose_graph_peers import Run, Way, build_ceres, ceres_ways, g2o_ways, gtsam_start, gtsam_ways
from thalweg_slam import Graph, optimise, read_g2o

DATA = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data" / "slam" / "g2o"
SPACE = "tinyGrid3D", "smallGrid3D", "parking-garage", "sphere2500", "torus3D", "cubicle"
PLANE = "CSAIL", "intel", "INTEL_carlone", "manhattan", "M3500", "M3500a", "kitti_00", "kitti_05"
OURS = ("double", "double-static", "single-static", "mixed", "mixed-adaptive")
FROM_ODOMETRY = ", from odometry"
SLOW = 2.0
"""Seconds from which a way is taken twice, whatever the turns; from five times that once, and it is no one's best."""
Rows = dict[str, list[Run] | str]


def load(path: Path) -> Graph:
    graph = read_g2o(path)
    return isotropic(graph) if path.name.startswith("cubicle") else graph


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
    def way() -> Run:
        found = optimise(graph, precision)
        return Run(found.timing.total, found.chi2, len(found.history), found.timing.initial)

    return way


def in_turn(ways: dict[str, Way], repeats: int) -> Rows:
    found: Rows = {}
    for name, way in ways.items():
        try:
            once = way()
            found[name] = [] if once.seconds < 5 * SLOW else f"{once.seconds:.0f} s, once; chi2 {once.chi2:.9g}"
        except Exception as error:
            found[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:60]}"
    for turn in range(repeats):
        for name, way in ways.items():
            row = found[name]
            if not isinstance(row, str) and (turn < 2 or row[0].seconds < SLOW):
                row.append(way())
    return found


def ways_of(graph: Graph, program: Path | None, folder: Path) -> dict[str, Way]:
    ways: dict[str, Way] = {each: ours(graph, each) for each in OURS}
    start = optimise(graph, "double", iterations=0).graph
    composed = optimise(graph, "double", initial="odometry", iterations=0).graph
    ways |= gtsam_ways(start) | g2o_ways(start)
    further = gtsam_ways(composed) | g2o_ways(graph, guess=True)
    if program:
        ways |= ceres_ways(start, program, folder / "start.txt")
        further |= ceres_ways(composed, program, folder / "composed.txt")
    ways |= {name + FROM_ODOMETRY: way for name, way in further.items()}
    initial = gtsam_start(graph)
    if initial is not None:
        ways["GTSAM's start"] = lambda: Run(initial(), float("nan"), 0)
    return ways


def solved(rows: Rows) -> dict[str, list[Run]]:
    """Those of a kind, by the first word of the name, that end at the least chi2 of the kind."""
    ran = {name: row for name, row in rows.items() if not isinstance(row, str) and row and name != "GTSAM's start"}
    least: dict[str, float] = {}
    for name, row in ran.items():
        kind = "ours" if name in OURS else name.split()[0]
        for alike in ("ours", kind) if kind == "GTSAM" else (kind,):
            least[alike] = min(least.get(alike, np.inf), row[0].chi2)
    least["GTSAM"] = least["ours"]
    bound = {kind: 1.0001 * value for kind, value in least.items()}
    return {name: row for name, row in ran.items() if row[0].chi2 <= bound.get(name.split()[0], bound["ours"])}


def ratio(peer: list[float], own: list[float]) -> float:
    return median(a / b for a, b in zip(peer, own, strict=False))


def compare(name: str, graph: Graph, rows: Rows) -> tuple[list[str], list[str]]:
    """Prints all, and gives the graph's lines of the two tables."""
    good = solved(rows)
    print(f"{name}: {len(graph)} poses, {len(graph.edges)} edges")
    for each, row in rows.items():
        if isinstance(row, str):
            print(f"  {each:<26} {row}")
        else:
            mark = "" if each in good or each == "GTSAM's start" else "  not solved"
            time, initial = median(run.seconds for run in row), median(run.initial for run in row)
            print(
                f"  {each:<26}{time * 1e3:>9.2f} ms +{initial * 1e3:>7.2f} ms start"
                f"{row[0].iterations:>5} iterations   chi2 {row[0].chi2:.9g}{mark}"
            )
    seconds = {each: [run.seconds for run in row] for each, row in good.items()}
    whole = {each: [run.seconds + run.initial for run in row] for each, row in good.items()}
    chordal = rows.get("GTSAM's start", "absent")
    peers = [each for each in good if each not in OURS and FROM_ODOMETRY not in each]
    if not isinstance(chordal, str):
        for each in peers:
            whole[each] = [a + b.seconds for a, b in zip(seconds[each], chordal, strict=False)]
    complete = [each for each in good if each not in OURS and (each in peers) <= (not isinstance(chordal, str))]
    best = min(peers, key=lambda each: median(seconds[each]), default="")
    first = min(complete, key=lambda each: median(whole[each]), default="")
    own = "mixed-adaptive"
    line = [name, str(len(graph)), str(len(graph.edges)), _ms(seconds.get("double")), _ms(seconds.get(own))]
    line += [f"{best} {_ms(seconds[best])}", f"{ratio(seconds[best], seconds[own]):.1f}"] if best else ["–", "–"]
    line += [f"{first} {_ms(whole[first])}", f"{ratio(whole[first], whole[own]):.1f}"] if first else ["–", "–"]
    print("  " + " | ".join(line))
    double, single, mixed = (rows[each] for each in ("double-static", "single-static", "mixed"))
    stored = optimise(graph, "double-static")
    half = optimise(graph, "mixed")
    if isinstance(double, str) or isinstance(single, str) or isinstance(mixed, str):
        return line, [name, f"{stored.factor_bytes / 1e6:.1f}", *["–"] * 7]
    exact = optimise(graph, "double").chi2
    static = [name, f"{stored.factor_bytes / 1e6:.1f}"]
    static += [_ms([run.seconds for run in row]) for row in (double, single, mixed)]
    half_seconds = [run.seconds for run in mixed]
    static += [f"{ratio(half_seconds, [run.seconds for run in row]):.2f}" for row in (double, single)]
    static += [f"{stored.products} / {half.products}", f"{stored.chi2 / exact - 1:.0e} / {half.chi2 / exact - 1:.0e}"]
    print("  " + " | ".join(static), flush=True)
    return line, static


def _ms(seconds: list[float] | None) -> str:
    if seconds is None:
        return "not solved"
    milliseconds = median(seconds) * 1e3
    return f"{milliseconds:.3g}" if milliseconds < 999.5 else f"{milliseconds:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--graphs", default=",".join(SPACE + PLANE))
    given = parser.parse_args()
    lines, statics = [], []
    with tempfile.TemporaryDirectory() as scratch:
        program = build_ceres(Path(scratch))
        if program is None:
            print("no Ceres here (a compiler and libceres-dev are needed): its rows are left out")
        for name in given.graphs.split(","):
            path = next(given.data.glob(f"{name}.g2o*"), None)
            if path is None:
                print(f"{name}: not in the folder")
                continue
            graph = load(path)
            line, static = compare(name, graph, in_turn(ways_of(graph, program, Path(scratch)), given.repeats))
            lines.append(line)
            statics.append(static)
    head = ["graph", "poses", "edges", "double, ms", "mixed-adaptive, ms", "best peer, ms", "ratio"]
    print(table([*head, "best peer with its start, ms", "ratio with start"], lines), end="\n\n")
    head = ["graph", "factor in fp64, MB", "double-static, ms", "single-static, ms", "mixed, ms", "mixed / double"]
    head += ["mixed / single", "products, double / mixed", "chi2 over the least, double / mixed"]
    print(table(head, statics))


if __name__ == "__main__":
    main()
