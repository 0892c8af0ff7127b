"""Laws about a face of the domain: a line of weights from it inwards, the same at every cell of the face."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from pydantic import Field

from ..errors import HandshakeError
from .law import LinearLaw
from .rows import Rows

if TYPE_CHECKING:
    import xarray as xr

Side = Literal["left", "right", "both"]


@dataclass(frozen=True)
class Line:
    """Weights of the cells nearest to one end of a dim, outermost first; of both ends: of the first and the last."""

    side: Side
    weights: tuple[float, ...]

    def cells(self, size: int) -> list[int]:
        """The cells that it weighs, of `size` along the dim."""
        if self.side == "both":
            return [0, size - 1]
        inwards = range(len(self.weights))
        return [number if self.side == "left" else size - 1 - number for number in inwards]


class FaceLaw(LinearLaw):
    r"""A linear law at one or both ends of a dim: $\sum_j c_j x_j = b$ over the cells nearest to the face.

    Values, slopes, their sum, and both ends being one place are all lines; so whoever can hold one can hold any.
    """

    variable: str = Field(description="the field that the law is about")
    dim: str = Field(description="the dim across which the face lies")

    @abstractmethod
    def lines(self, grid: xr.Dataset) -> tuple[Line, ...]:
        """A line for each row, in the units of the target; `targets` has as many, at each cell of the face."""

    @final
    def rows(self, grid: xr.Dataset) -> Rows:
        """Along `dim`, at every index of the other dims. Raises `HandshakeError` for a dim that is too short."""
        field = grid[self.variable]
        lines = self.lines(grid)
        if self.dim not in field.dims:
            raise HandshakeError(
                f"{self.name} goes over {self.dim!r}, which {self.variable!r} does not have",
                allowed=", ".join(str(dim) for dim in field.dims if dim not in ("sample", "lead", "member")),
                advice="name a dim of the variable in `dim`",
            )
        size, reach = field.sizes[self.dim], max(len(line.weights) for line in lines)
        if size < reach:
            raise HandshakeError(
                f"a line of {self.name} takes {reach} points, but {self.dim!r} has {size}",
                allowed=f"{reach} points or more",
                advice="lower `order`, or take a finer grid",
            )
        return FaceRows(self.variable, self.dim, size, lines)


class FaceRows(Rows):
    """A row for each line; without one of its cells it says nothing."""

    gaps = "void"

    def __init__(self, variable: str, dim: str, size: int, lines: tuple[Line, ...], /) -> None:
        self.variable, self.dims, self.count, self._size, self._lines = variable, (dim,), len(lines), size, lines

    def block(self, region: Mapping[str, slice]) -> Any:
        """Columns of a matrix that is small: one dim."""
        import numpy as np
        from scipy.sparse import csr_array

        matrix = np.zeros((self.count, self._size))
        for row, line in enumerate(self._lines):
            matrix[row, line.cells(self._size)] = line.weights
        return csr_array(matrix[:, region[self.dims[0]]])
