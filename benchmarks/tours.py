"""800 synthetic tours, their odometry alone and with loops closed: errors of each trajectory, and where the time goes.

    python benchmarks/tours.py [--graphs 800] [--initial odometry] [--out tours]

The settings of the tours are those of recipes/slam-tours.yaml. Each tour is optimised in four ways: in double
precision with a factor at every step (`double`), and by conjugate gradients with one factor for all steps, all in
double (`double static`), with that factor in single precision and its triangular solves in half (`mixed`), or with
factor, triangular solves and products with the Jacobian in half (`all half`). All begin from the same start:
`--initial odometry`, or `chordal`, which is so near that two steps do.

Writes the cumulative histograms of the absolute trajectory error (rmse, aligned by SE(3)), `tours.png`, and `tours.md`:
errors over trajectories, distances from the optimum in double precision, and processor time by step. A tour is split
into trajectories where a run of loops begins; one that could not be optimised keeps its odometry, and is counted. The
seconds of triangular solves are those of one, measured on every eighth graph, times their number.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from thalweg.errors import RunError
from thalweg_slam import Graph, Problem, Trajectory, optimise, rpe
from thalweg_slam.datasets.synthetic_tours import SyntheticTours, settings_of
from thalweg_slam.generate import Settings, tour
from thalweg_slam.posegraph import diagnose
from thalweg_slam.posegraph.precision import PRESETS, Precision
from thalweg_slam.posegraph.problem import prepare
from thalweg_slam.posegraph.result import Result
from thalweg_slam.posegraph.symbolic import analyse
from thalweg_slam.posegraph.system import System
from thalweg_slam.poses import Array
from thalweg_slam.trajectory import absolute_errors

WAYS = {
    "double": PRESETS["double"],
    "double static": PRESETS["double-static"],
    "mixed": PRESETS["mixed"],
    "all half": Precision("static", factor="fp16", solve="fp16", product="fp16"),
}
STEPS = {
    "prepare": "order of elimination, structure",
    "initial": "start",
    "linearise": "Jacobian",
    "factor": "factorisation (the preconditioner)",
    "conjugate": "linear solves",
    "update": "moving the poses, cost",
}
PUBLISHED = {
    "mean": (9.72e-2, 3.19e-4),
    "max": (4.03e-1, 5.83e-4),
    "99 %": (2.65e-1, 5.71e-4),
    "90 %": (2.00e-1, 5.57e-4),
}
OVER: dict[str, Callable[[Array], float]] = {
    "mean": np.mean,
    "max": np.max,
    "99 %": lambda each: np.percentile(each, 99),
    "90 %": lambda each: np.percentile(each, 90),
}
EVERY = 8


@dataclass
class Tally:
    """What one way did to all tours."""

    ate: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    """The largest distance of a tour's pose from its place in double precision, m."""
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    triangular: float = 0.0
    sampled: float = 0.0
    """Seconds of linear solves on the tours whose triangular solves were measured."""
    products: int = 0
    iterations: int = 0
    failed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description="800 tours, with and without loops closed.")
    parser.add_argument("--recipe", type=Path, default=Path(__file__).parents[1] / "recipes" / "slam-tours.yaml")
    parser.add_argument("--graphs", type=int, help="fewer than in the recipe")
    parser.add_argument("--initial", choices=("odometry", "chordal"), default="odometry")
    parser.add_argument("--out", type=Path, default=Path("tours"))
    chosen = parser.parse_args()
    made = SyntheticTours(**yaml.safe_load(chosen.recipe.read_text())["ingest"]["synthetic-tours"])
    settings = settings_of(made)
    for precision in WAYS.values():
        optimise(tour(0, settings).graph, precision, initial=chosen.initial)
    odometry: list[float] = []
    drift: list[float] = []
    tallies = {name: Tally() for name in WAYS}
    sizes = []
    for number in range(chosen.graphs or made.graphs):
        problem = tour(made.seed + number, settings)
        sizes.append((len(problem.graph), len(problem.graph.edges)))
        odometry += by_trajectory(problem, problem.graph)
        drift.append(step_error(problem))
        found: dict[str, Graph] = {}
        # Turn and turn about, so that a drifting machine is fair to all.
        names = [*WAYS][number % len(WAYS) :] + [*WAYS][: number % len(WAYS)]
        for name in names:
            found[name] = one(tallies[name], problem, WAYS[name], initial=chosen.initial, timed=number % EVERY == 0)
        for name, tally in tallies.items():
            tally.ate += by_trajectory(problem, found[name])
            apart = np.linalg.norm(found[name].translation - found["double"].translation, axis=1)
            tally.apart.append(float(apart.max()))
    chosen.out.mkdir(parents=True, exist_ok=True)
    text = report(settings, np.array(odometry), np.array(drift), tallies, np.array(sizes), initial=chosen.initial)
    (chosen.out / "tours.md").write_text(text)
    draw(np.array(odometry), tallies, chosen.out / "tours.png")
    print(text)


def one(tally: Tally, problem: Problem, precision: Precision, *, initial: str, timed: bool) -> Graph:
    """Optimise a tour, and count what it took."""
    try:
        result = optimise(problem.graph, precision, initial=initial)
    except RunError:
        tally.failed += 1
        return problem.graph
    for step in STEPS:
        tally.seconds[step] += getattr(result.timing, step)
    tally.products += result.products
    tally.iterations += len(result.history)
    if timed and precision.policy != "direct":
        solves = result.products + sum(not each.direct for each in result.history)
        tally.triangular += solves * triangular_solve(result, precision)
        tally.sampled += result.timing.conjugate
    return result.graph


def triangular_solve(result: Result, precision: Precision, *, repeats: int = 20) -> float:
    """Seconds of one application of the preconditioner."""
    symbolic = analyse(len(result.graph), result.graph.edges)
    fixed = diagnose.gauge(result.graph, "first", symbolic=symbolic)
    problem, _ = prepare(result.graph, symbolic=symbolic, fixed=fixed, robust=None)
    system = System(problem, precision.jacobian)
    system.linearise(problem.state(result.graph.rotation, result.graph.translation), rescale=True)
    system.factorise(precision.factor, shift=1e-6)
    assert system.matrix is not None
    packed = system.matrix.packed(precision.solve, precision.vectors)
    vector = np.ones(len(system.gradient), dtype=np.float64 if precision.vectors == "fp64" else np.float32)
    packed.solve(vector.copy())
    copies = [vector.copy() for _ in range(repeats)]
    start = time.thread_time()
    for each in copies:
        packed.solve(each)
    return (time.thread_time() - start) / repeats


def by_trajectory(problem: Problem, graph: Graph) -> list[float]:
    """The error of each trajectory of a tour."""
    assert problem.truth is not None
    assert problem.trajectory is not None
    estimate = Trajectory(graph.translation, graph.rotation)
    found = []
    for number in range(int(problem.trajectory.max()) + 1):
        at = np.flatnonzero(problem.trajectory == number)
        found.append(float(np.sqrt((absolute_errors(estimate[at], problem.truth[at]) ** 2).mean())))
    return found


def step_error(problem: Problem) -> float:
    """Root mean square of the angle by which a step of the odometry is off, degrees."""
    assert problem.truth is not None
    return rpe(Trajectory(problem.graph.translation, problem.graph.rotation), problem.truth)["rot_rmse_deg"]


def report(
    settings: Settings, odometry: Array, drift: Array, tallies: dict[str, Tally], sizes: Array, *, initial: str
) -> str:
    """Tables in Markdown."""
    count = len(sizes)
    poses, edges = sizes.mean(axis=0)
    lines = [
        f"# {count} tours, {len(odometry)} trajectories",
        "",
        f"{poses:.0f} poses and {edges - poses + 1:.0f} loops on average; steps of {settings.step * 100:g} cm "
        "with noise of "
        f"{settings.odometry_noise[0] * 1e3:g} mm and {settings.odometry_noise[1] * 1e3:g} mrad per axis and a bias of "
        f"{settings.bias * 1e3:g} mrad per m, loops within {settings.reach:g} m with noise of "
        f"{settings.loop_noise[0] * 1e3:g} mm and {settings.loop_noise[1] * 1e3:g} mrad; "
        f"a step of the odometry is {drift.mean():.2f} degrees off. All begin from the same {initial} start.",
        "",
        "## Absolute trajectory error (rmse, m) over trajectories",
        "",
        f"| | odometry | {' | '.join(tallies)} | published: without, with loops |",
        "|---|" + "---:|" * (len(tallies) + 2),
    ]
    for name, over in OVER.items():
        values = [over(odometry), *(over(np.array(tally.ate)) for tally in tallies.values())]
        published = ", ".join(f"{each:.2e}" for each in PUBLISHED[name])
        lines.append(f"| {name} | {' | '.join(f'{each:.3e}' for each in values)} | {published} |")
    lines += [
        "",
        "The published trajectories are others, and so are their numbers; what is compared is how precisions differ.",
        "",
        "## Against double precision",
        "",
        "| | " + " | ".join(tallies) + " |",
        "|---|" + "---:|" * len(tallies),
    ]
    reference = np.array(tallies["double"].ate)
    rows = {
        "tours that could not be optimised": [f"{tally.failed}" for tally in tallies.values()],
        "farthest pose, median over tours (m)": [f"{np.median(tally.apart):.1e}" for tally in tallies.values()],
        "farthest pose, largest over tours (m)": [f"{np.max(tally.apart):.1e}" for tally in tallies.values()],
        "largest change of a trajectory's error (m)": [
            f"{np.abs(np.array(tally.ate) - reference).max():.1e}" for tally in tallies.values()
        ],
        "iterations per tour": [f"{tally.iterations / count:.1f}" for tally in tallies.values()],
        "products per tour": [f"{tally.products / count:.1f}" for tally in tallies.values()],
    }
    lines += [f"| {name} | {' | '.join(values)} |" for name, values in rows.items()]
    lines += [
        "",
        "## Processor seconds, all tours (part of the total without the start)",
        "",
        "| | " + " | ".join(tallies) + " |",
        "|---|" + "---:|" * len(tallies),
    ]
    totals = {
        name: sum(each for step, each in tally.seconds.items() if step != "initial") for name, tally in tallies.items()
    }
    for step, words in STEPS.items():
        cells = []
        for name, tally in tallies.items():
            part = "" if step == "initial" else f" ({tally.seconds[step] / totals[name]:.0%})"
            cells.append(f"{tally.seconds[step]:.2f}{part}")
        lines.append(f"| {words} | {' | '.join(cells)} |")
        if step == "conjugate":
            shares = [tally.triangular / tally.sampled if tally.sampled else 0.0 for tally in tallies.values()]
            lines.append(f"| of these, triangular solves | {' | '.join(f'{s:.0%}' if s else '-' for s in shares)} |")
    lines.append(f"| total without the start | {' | '.join(f'{each:.2f}' for each in totals.values())} |")
    for name in ("double", "double static"):
        ratios = [each / totals[name] for each in totals.values()]
        lines.append(f"| relative to {name} | {' | '.join(f'{each:.2f}' for each in ratios)} |")
    return "\n".join(lines) + "\n"


def draw(odometry: Array, tallies: dict[str, Tally], path: Path) -> None:
    """Cumulative histograms on a logarithmic axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axis = figure.subplots()
    styles: dict[str, dict[str, Any]] = {
        "double": {"color": "#c6dbef", "linewidth": 8.0},
        "double static": {"color": "#6baed6", "linewidth": 4.5},
        "mixed": {"color": "#0b5fa5", "linewidth": 2.0},
        "all half": {"color": "#d95f0e", "linewidth": 1.4, "linestyle": "--"},
    }
    curves: dict[str, tuple[Array, dict[str, Any]]] = {"odometry": (odometry, {"color": "#777777", "linewidth": 2.0})}
    curves |= {name: (np.array(tally.ate), styles[name]) for name, tally in tallies.items()}
    for name, (values, style) in curves.items():
        axis.plot(np.sort(values), np.arange(1, len(values) + 1) / len(values), label=name, **style)
    axis.set(
        xscale="log",
        xlabel="absolute trajectory error, rmse (m)",
        ylabel="part of the trajectories below",
        ylim=(0, 1.01),
        title=f"{len(odometry)} trajectories: odometry, and loops closed in four ways",
    )
    axis.title.set_fontsize(10)
    axis.grid(alpha=0.3, which="both", linewidth=0.5)
    axis.legend(frameon=False, loc="center right")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
