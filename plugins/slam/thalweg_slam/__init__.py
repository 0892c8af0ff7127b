"""Localisation: pose graphs and bundle adjustment in mixed precision."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thalweg import Dataset, Enforcer, Law, Method, Metric, Register, Transform, WholeMetric, hookimpl

if TYPE_CHECKING:
    from .formats.euroc import read_euroc
    from .formats.g2o import read_g2o, write_g2o
    from .formats.kitti import read_kitti
    from .formats.store import read_store, write_store
    from .formats.toro import read_toro, write_toro
    from .formats.tum import read_tum, write_tum
    from .graph import Graph
    from .posegraph.certificate import certify, chordal_cost
    from .posegraph.many import optimise_many
    from .posegraph.optimise import optimise
    from .posegraph.precision import Precision
    from .posegraph.robust import Robust
    from .problem import Problem
    from .repairs import repair
    from .trajectory import Trajectory, align, associate, ate, planar, rpe
    from .validation import validate

_HOMES = {
    "Graph": "graph",
    "Precision": "posegraph.precision",
    "Problem": "problem",
    "Robust": "posegraph.robust",
    "Trajectory": "trajectory",
    "align": "trajectory",
    "associate": "trajectory",
    "ate": "trajectory",
    "optimise_many": "posegraph.many",
    "certify": "posegraph.certificate",
    "chordal_cost": "posegraph.certificate",
    "optimise": "posegraph.optimise",
    "planar": "trajectory",
    "read_euroc": "formats.euroc",
    "read_g2o": "formats.g2o",
    "read_kitti": "formats.kitti",
    "read_store": "formats.store",
    "read_toro": "formats.toro",
    "read_tum": "formats.tum",
    "repair": "repairs",
    "rpe": "trajectory",
    "validate": "validation",
    "write_g2o": "formats.g2o",
    "write_store": "formats.store",
    "write_toro": "formats.toro",
    "write_tum": "formats.tum",
}

__all__ = [
    "Graph",
    "Precision",
    "Problem",
    "Robust",
    "Trajectory",
    "align",
    "associate",
    "ate",
    "certify",
    "chordal_cost",
    "optimise",
    "optimise_many",
    "planar",
    "read_euroc",
    "read_g2o",
    "read_kitti",
    "read_store",
    "read_toro",
    "read_tum",
    "repair",
    "rpe",
    "validate",
    "write_g2o",
    "write_store",
    "write_toro",
    "write_tum",
]


def __getattr__(name: str) -> Any:
    # Numba and scipy are loaded by what needs them.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


@hookimpl
def register_datasets(register: Register[Dataset]) -> None:
    from .bundle.source import BundleFile
    from .bundle.synthetic import SyntheticDrives
    from .datasets.pose_graph import PoseGraph
    from .datasets.synthetic_tours import SyntheticTours

    register("bundle", BundleFile)
    register("synthetic-drives", SyntheticDrives)
    register("pose-graph", PoseGraph)
    register("synthetic-tours", SyntheticTours)


@hookimpl
def register_transforms(register: Register[Transform]) -> None:
    from .transforms.validate_graph import ValidateGraph

    register("validate-graph", ValidateGraph)


@hookimpl
def register_methods(register: Register[Method]) -> None:
    from .bundle.method import WindowedBundleAdjustment
    from .methods.dead_reckoning import DeadReckoning

    register("dead-reckoning", DeadReckoning)
    register("windowed-bundle-adjustment", WindowedBundleAdjustment)


@hookimpl
def register_laws(register: Register[Law]) -> None:
    from .laws.loop_closure import LoopClosure

    register("loop-closure", LoopClosure)


@hookimpl
def register_enforcers(register: Register[Enforcer]) -> None:
    from .enforcers.pose_graph import PoseGraphOptimisation

    register("pose-graph", PoseGraphOptimisation)


@hookimpl
def register_metrics(register: Register[Metric | WholeMetric]) -> None:
    from .metrics.ate import AbsoluteTrajectoryError
    from .metrics.rpe import RelativePoseError

    register("ate", AbsoluteTrajectoryError)
    register("rpe", RelativePoseError)
