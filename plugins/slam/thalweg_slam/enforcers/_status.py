"""What solves of several graphs tell: how they ended, said in a line and kept beside the poses."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..graph import LOOP
from ..poses import Array

if TYPE_CHECKING:
    from ..posegraph.result import Result

SHOWN = 3
NOTHING = 0.01
"""As `posegraph.result` has it."""


@dataclass
class Status:
    """Of the graphs of a batch, in their order; a graph that was left as it is has no chi2, and has converged."""

    sources: list[str] = field(default_factory=list)
    converged: list[bool] = field(default_factory=list)
    chi2: list[float] = field(default_factory=list)
    freedom: list[int] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    products: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    """Edges that weigh nothing by the robust loss."""
    loops: list[tuple[int, int]] = field(default_factory=list)
    """Loops that weigh nothing, of how many."""

    def add(self, found: Result | None, *, source: str) -> None:
        """One more graph."""
        self.sources.append(source)
        self.converged.append(found is None or found.converged)
        self.chi2.append(np.nan if found is None else found.chi2)
        self.freedom.append(0 if found is None else found.freedom)
        self.iterations.append(0 if found is None else len(found.history))
        self.products.append(0 if found is None else found.products)
        self.rejected.append(0 if found is None else int(found.rejected.sum()))
        among = None if found is None else found.graph.kind == LOOP
        self.loops.append(
            (0, 0) if found is None or among is None else (int((found.rejected & among).sum()), int(among.sum()))
        )

    def arrays(self) -> dict[str, Array]:
        """By name, each along samples."""
        names = ("converged", "chi2", "freedom", "iterations", "products", "rejected")
        made = {name: np.array(getattr(self, name)) for name in names}
        return {**made, "converged": made["converged"].astype(np.uint8)}

    def say(self, log: logging.Logger) -> None:
        """One line: how many converged, in how many iterations, at which chi2.

        Warnings name those that did not, and how many loops a robust loss rejects.
        """
        lost = [i for i, each in enumerate(self.converged) if not each]
        for i in lost[:SHOWN]:
            log.warning(
                "%s: %s", self.sources[i], f"did not converge in {self.iterations[i]} iterations; {self._chi2(i)}"
            )
        if len(lost) > SHOWN:
            log.warning("and %d more did not converge", len(lost) - SHOWN)
        self._say_rejected(log)
        solved = [i for i, each in enumerate(self.converged) if each and self.iterations[i]]
        if len(solved) == 1:
            log.info(
                "%s: converged in %d iterations; %s",
                self.sources[solved[0]],
                self.iterations[solved[0]],
                self._chi2(solved[0]),
            )
        elif solved:
            most = max(self.iterations[i] for i in solved)
            ratios = [self.chi2[i] / self.freedom[i] for i in solved if self.freedom[i] > 0]
            ratio = f"; chi2 per degree of freedom {np.median(ratios):.3g} (median)" if ratios else ""
            log.info(
                "%d of %d graphs converged, in %d iterations at most%s", len(solved), len(self.sources), most, ratio
            )

    def _say_rejected(self, log: logging.Logger) -> None:
        some = [i for i, each in enumerate(self.rejected) if each]
        for i in some[:SHOWN]:
            (few, many), others = self.loops[i], self.rejected[i] - self.loops[i][0]
            beside = f", and {others} other edges" if others else ""
            every = "; the poses are those of odometry: try a larger `scale`" if few == many else ""
            log.warning(
                "%s: by the robust loss %d of %d loops%s weigh nothing (less than %g)%s",
                self.sources[i], few, many, beside, NOTHING, every,
            )  # fmt: skip
        if len(some) > SHOWN:
            log.warning(
                "and of %d more graphs %d edges weigh nothing", len(some) - SHOWN,
                sum(self.rejected[i] for i in some[SHOWN:]),
            )  # fmt: skip

    def _chi2(self, i: int) -> str:
        ratio = f", {self.chi2[i] / self.freedom[i]:.3g} per degree of freedom" if self.freedom[i] > 0 else ""
        return f"chi2 {self.chi2[i]:.6g}{ratio}"
