"""Hundreds of graphs at once: sparse, one after another on threads, or dense and in step on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from thalweg import OptionError

from ..graph import POSITION, Graph
from .optimise import optimise
from .precision import Precision
from .result import Result


def optimise_many(
    graphs: Sequence[Graph],
    precision: str | Precision = "mixed-adaptive",
    *,
    backend: Literal["auto", "sparse", "dense"] = "auto",
    threads: int = 1,
    initial: str = "auto",
    tolerance: float = 1e-8,
    iterations: int = 1000,
) -> list[Result]:
    """The optimum of each graph, in their order.

    `sparse`: each as `optimise` has it, on `threads` (the kernels leave the interpreter free). `dense`: padded to the
    largest and stacked, with dense Cholesky factors by torch, in float64 (`double`) or in float32 with refinement (all
    other precisions), on a GPU if there is one. `auto`: dense if there is one and all graphs are of one dimension.
    """
    if backend not in ("auto", "sparse", "dense"):
        raise OptionError(f"backend {backend!r}", allowed="auto, sparse, dense", advice="take one of these")
    if not graphs:
        return []
    alike = len({(each.dims, each.convention) for each in graphs}) == 1
    alike &= not any((each.kind == POSITION).any() for each in graphs)
    if backend == "dense" and not alike:
        raise OptionError(
            "graphs of unlike dims or conventions, or with priors of the position alone",
            allowed="one kind at a time",
            advice="take backend='sparse'",
        )
    if backend == "auto":
        backend = "dense" if alike and _gpu() else "sparse"
    if backend == "dense":
        from .dense import optimise_dense

        return optimise_dense(graphs, precision, initial=initial, tolerance=tolerance, iterations=iterations)

    def one(graph: Graph) -> Result:
        return optimise(graph, precision, initial=initial, tolerance=tolerance, iterations=iterations)

    # The first compiles for all: the compiler takes one at a time.
    first = one(graphs[0])
    with ThreadPoolExecutor(threads) as pool:
        return [first, *pool.map(one, graphs[1:])]


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()
