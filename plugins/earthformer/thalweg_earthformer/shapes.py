"""Shapes of tensors, as types."""

from __future__ import annotations

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

__all__ = ["Bias", "Cells", "Groups", "Heads", "Images", "Scores", "Triple", "VectorHeads", "Vectors"]

Triple: TypeAlias = tuple[int, int, int]
"""One number for each of time, height and width."""

Cells = Float[Tensor, "batch time height width channel"]
Heads = Float[Tensor, "batch time height width head depth"]
Vectors = Float[Tensor, "batch vector channel"]
VectorHeads = Float[Tensor, "batch vector head depth"]
Groups = Float[Tensor, "rows groups length depth"]
"""Cells by cuboid: batch and cuboids are in `rows`, or in `groups` with the heads, as their order in memory allows."""
Bias = Float[Tensor, "groups queries keys"]
Scores = Float[Tensor, "rows groups queries keys"]
Images = Float[Tensor, "image channel height width"]
