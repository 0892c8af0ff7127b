"""Measurements between sensors that are not where the poses are, obeyed and weighed as g2o does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thalweg.errors import SourceError
from thalweg_slam import read_g2o, write_g2o
from thalweg_slam.geometry import compose, inverse, log
from thalweg_slam.residuals import chi2


def written(path: Path, *lines: str) -> Path:
    file = path / "a.g2o"
    file.write_text("\n".join(lines) + "\n")
    return file


def words(*parts: Any) -> str:
    return " ".join(repr(float(value)) for part in parts for value in np.ravel(part))


def semidefinite(draw: np.random.Generator, size: int) -> np.ndarray:
    root = draw.normal(size=(size, size))
    return np.asarray(root @ root.T + np.eye(size))


def triangle(matrix: np.ndarray) -> str:
    return words(matrix[np.triu_indices(len(matrix))])


def pose(draw: np.random.Generator, dims: int) -> np.ndarray:
    if dims == 2:
        return draw.normal(size=3)
    turn = draw.normal(size=4)
    return np.concatenate([draw.normal(size=3), turn / np.linalg.norm(turn)])


def motion(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dims = 2 if len(values) == 3 else 3
    return (values[dims:] if dims == 3 else values[2]), values[:dims]


class Sensors:
    """Two poses, two sensors on each, and what they measure of one another and of the world."""

    def __init__(self, dims: int, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.dims, self.size = dims, 3 * (dims - 1)
        self.poses, self.offsets = ([pose(draw, dims) for _ in range(2)] for _ in range(2))
        self.measured, self.information = pose(draw, dims), semidefinite(draw, self.size)
        vertex, self.parameter = ("VERTEX_SE2", "PARAMS_SE2OFFSET") if dims == 2 else (
            "VERTEX_SE3:QUAT", "PARAMS_SE3OFFSET")  # fmt: skip
        self.head = [f"{self.parameter} {k + 3} {words(each)}" for k, each in enumerate(self.offsets)]
        self.head += [f"{vertex} {k} {words(each)}" for k, each in enumerate(self.poses)]

    def edge(self) -> tuple[str, float]:
        line = f"EDGE_SE{self.dims}_OFFSET 0 1 3 4 {words(self.measured)} {triangle(self.information)}"
        ends = [compose(motion(at), motion(off)) for at, off in zip(self.poses, self.offsets, strict=True)]
        return line, self._square(compose(inverse(ends[0]), ends[1]))

    def prior(self) -> tuple[str, float]:
        line = f"EDGE_SE3_PRIOR 1 4 {words(self.measured)} {triangle(self.information)}"
        return line, self._square(compose(motion(self.poses[1]), motion(self.offsets[1])))

    def _square(self, seen: Any) -> float:
        error = log(compose(inverse(motion(self.measured)), seen))
        return float(error @ self.information @ error)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("dims", "what"), [(2, "edge"), (3, "edge"), (3, "prior")])
def test_offsets_of_sensors_are_obeyed(tmp_path: Path, dims: int, what: str, seed: int) -> None:
    scene = Sensors(dims, seed)
    line, wanted = getattr(scene, what)()
    graph = read_g2o(written(tmp_path, *scene.head, line))
    assert chi2(graph) == pytest.approx(wanted, rel=1e-12)
    # Also at other poses, and after it was written without offsets.
    moved = replace(graph, translation=graph.translation[::-1].copy(), rotation=graph.rotation[::-1].copy())
    scene.poses.reverse()
    assert chi2(moved) == pytest.approx(getattr(scene, what)()[1], rel=1e-12)
    write_g2o(tmp_path / "b.g2o", graph)
    again = read_g2o(tmp_path / "b.g2o")
    assert chi2(again) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.bad_input(
    "trajectories", "an edge of a pose graph that names a sensor's offset which the file does not give"
)
@pytest.mark.parametrize("dims", [2, 3])
def test_an_offset_that_is_missing_is_refused(tmp_path: Path, dims: int) -> None:
    scene = Sensors(dims)
    line, _ = scene.edge()
    file = written(tmp_path, *scene.head, line.replace(" 3 4 ", " 3 9 ", 1))
    with pytest.raises(
        SourceError, match=f"a.g2o, line 5: offset 9 of a sensor, which no {scene.parameter} line gives"
    ):
        read_g2o(file)
    with pytest.raises(SourceError, match=r"allowed: ids of PARAMS_SE.OFFSET lines: none"):
        read_g2o(written(tmp_path, *scene.head[2:], line))
    with pytest.raises(SourceError, match="line 2: offset 3 is given before"):
        read_g2o(written(tmp_path, scene.head[0], *scene.head, line))


def test_a_lever_arm_is_not_linear_in_the_convention_of_g2o(tmp_path: Path) -> None:
    scene = Sensors(3)
    line, _ = scene.edge()
    with pytest.raises(SourceError, match="line 5: EDGE_SE3_OFFSET of a sensor that is not where the pose is"):
        read_g2o(written(tmp_path, *scene.head, line), convention="vector")


def g2o() -> Any:
    return pytest.importorskip("g2opy", reason="g2opy is not installed: the extra slam-peers")


def measured_by_g2o(file: Path) -> float:
    optimiser = g2o().SparseOptimizer()
    assert optimiser.load(str(file))
    optimiser.initialize_optimization()
    optimiser.compute_active_errors()
    return float(optimiser.active_chi2())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dims", [2, 3])
def test_g2o_weighs_each_kind_of_edge_as_we_do(tmp_path: Path, dims: int, seed: int) -> None:
    g2o()
    draw = np.random.default_rng(seed)
    scene = Sensors(dims, seed)
    # In g2o's convention the second sensor may be turned, and not away.
    flat = pose(draw, dims)
    flat[:dims] = 0.0
    head = [scene.head[0], f"{scene.parameter} 4 {words(flat)}", *scene.head[2:]]
    whole = triangle(semidefinite(draw, scene.size))
    place, small_ = words(draw.normal(size=dims)), triangle(semidefinite(draw, dims))
    lines = {
        2: [
            f"EDGE_SE2 0 1 {words(pose(draw, 2))} {whole}",
            f"EDGE_SE2_OFFSET 0 1 3 4 {words(pose(draw, 2))} {whole}",
            f"EDGE_PRIOR_SE2 1 {words(pose(draw, 2))} {whole}",
            f"EDGE_PRIOR_SE2_XY 1 {place} {small_}",
        ],
        3: [
            f"EDGE_SE3:QUAT 0 1 {words(pose(draw, 3))} {whole}",
            f"EDGE_SE3_OFFSET 0 1 3 4 {words(pose(draw, 3))} {whole}",
            f"EDGE_SE3_PRIOR 1 4 {words(pose(draw, 3))} {whole}",
            f"EDGE_SE3_XYZ_PRIOR 1 3 {place} {small_}",
        ],
    }[dims]
    for k in range(len(lines)):
        file = written(tmp_path, *head, *(lines if k == 0 else lines[k : k + 1]))
        graph = read_g2o(file, convention="vector")
        # What was held for want of priors weighs nothing at the poses of the file.
        assert chi2(graph) == pytest.approx(measured_by_g2o(file), rel=1e-11)
