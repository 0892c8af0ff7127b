"""In which kind of number each step of the solver works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from thalweg import OptionError

Kind = Literal["fp64", "fp32", "bf16", "fp16"]
Policy = Literal["direct", "static", "adaptive"]
KINDS = ("fp64", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Precision:
    """Residual, accepting a step and moving the poses are always fp64.

    Half precision is how numbers are stored: they are widened to that of the vectors as they are read.
    """

    policy: Policy
    """direct: factor at each step; static: once, as preconditioner; adaptive: again when it has grown stale."""
    factor: Kind = "fp64"
    """Of the factorisation; half: each finished column is rounded."""
    solve: Kind = "fp64"
    """Of the factor's blocks below the diagonal, in triangular solves."""
    product: Kind = "fp64"
    """Of the Jacobian, in products with vectors."""

    def __post_init__(self) -> None:
        for step in ("factor", "solve", "product"):
            if getattr(self, step) not in KINDS:
                raise OptionError(
                    f"{step} in {getattr(self, step)!r}", allowed=", ".join(KINDS), advice="take one of these"
                )

    @property
    def vectors(self) -> Kind:
        return "fp64" if self.product == "fp64" else "fp32"

    @property
    def jacobian(self) -> Kind:
        """How the Jacobian is held for the factorisation, and for products unless these are in half precision."""
        return "fp64" if self.policy == "direct" or self.product == "fp64" else "fp32"


PRESETS = {
    "double": Precision("direct"),
    "double-static": Precision("static"),
    "single-static": Precision("static", factor="fp32", solve="fp32", product="fp32"),
    "mixed": Precision("static", factor="fp32", solve="fp16", product="fp32"),
    "mixed-adaptive": Precision("adaptive", factor="fp32", solve="fp16", product="fp32"),
}


def precision(chosen: str | Precision) -> Precision:
    if isinstance(chosen, Precision):
        return chosen
    if chosen not in PRESETS:
        raise OptionError(
            f"precision {chosen!r}", allowed=", ".join(PRESETS), advice="name one of these, or give a Precision"
        )
    return PRESETS[chosen]
