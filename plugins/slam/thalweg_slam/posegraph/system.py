"""The normal equations of a pose graph at one state, and their factor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .factor import STORED, Matrix, Packed, flat, scale_columns
from .problem import Problem, State

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class System:
    """The scaled normal equations S J^T J S x = -S J^T r at one state, and a factor of them or of earlier ones."""

    problem: Problem
    kind: str
    jacobian: Array = field(init=False)
    gradient: Array = field(init=False)
    squares: Array = field(init=False)
    scale: Array | None = None
    narrow: Array | None = None
    matrix: Matrix | None = None
    preconditioner: Packed | None = None

    def __post_init__(self) -> None:
        size, problem = self.problem.size, self.problem
        self.jacobian = flat(2 * len(problem.ends), size * size, STORED[self.kind])
        self.gradient = np.empty(len(problem.fixed) * problem.lanes)
        self.squares = np.empty_like(self.gradient)

    def linearise(self, state: State, *, rescale: bool) -> None:
        self.problem.linearise(state, jacobian=self.jacobian, gradient=self.gradient, squares=self.squares)
        if rescale or self.scale is None:
            self.scale = 1 / np.sqrt(np.where(self.squares > 0, self.squares, 1.0))
        scaled(self.problem, self.jacobian, self.scale)

    def factorise(self, kind: str, *, shift: float, floor: float = 0.0) -> tuple[int, float]:
        rounded = kind if kind in ("fp16", "bf16") else None
        held = "fp64" if kind == "fp64" else "fp32"
        if self.matrix is None or self.matrix.lower.dtype != STORED[held]:
            self.matrix = Matrix.empty(self.problem.symbolic, self.problem.size, held)
        problem = self.problem
        self.matrix.assemble(self.jacobian, ends=problem.ends, places=problem.places, idle=problem.fixed)
        return self.matrix.factorise(shift=shift, rounded=rounded, floor=floor)


def scaled(problem: Problem, jacobian: Array, scale: Array) -> None:
    scale_columns(problem.size, problem.lanes, problem.ends, jacobian, scale)
