"""One optimizer of a training, and when it steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .objective import Objective

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

Named = Sequence[tuple[str, "nn.Parameter"]]


@dataclass(frozen=True)
class Turn:
    """One optimizer, what it minimises and when: a generator's step, a critic's step.

    In a step the turns that are due follow each other, each on the same batch.
    """

    name: str
    objective: Objective
    learns: tuple[str, ...]
    """Names of the modules whose parameters it changes; no module is learned by two turns."""
    optimizer: Callable[[Named], Optimizer]
    """Made of the names and parameters of these modules."""
    rate: Callable[[int], float]
    """The learning rate of a step."""
    clip: float | None = None
    """Largest L2 norm of the gradient."""
    every: int = 1
    """Steps from one in which it is due to the next."""
    after: int = 0
    """The first step in which it is due."""

    def due(self, step: int) -> bool:
        """Whether it learns in this step."""
        return step >= self.after and (step - self.after) % self.every == 0


def title(turns: Sequence[Turn], turn: Turn, name: str) -> str:
    """The name of a curve; where there are several turns it begins with the turn's."""
    return name if len(turns) == 1 else f"{turn.name}/{name}"


def decayed(
    kind: Literal["adamw", "adam"], *, learning_rate: float, weight_decay: float
) -> Callable[[Named], Optimizer]:
    """Adam with weight decay; vectors (biases, norms), and tables that are called a bias, do not decay."""

    def make(learned: Named) -> Optimizer:
        from torch.optim import Adam, AdamW

        spared = [each for name, each in learned if each.ndim < 2 or "bias" in name]
        spare = {id(each) for each in spared}
        groups: list[dict[str, Any]] = [
            {"params": [each for _, each in learned if id(each) not in spare]},
            {"params": spared, "weight_decay": 0.0},
        ]
        used = [each for each in groups if each["params"]]
        return (AdamW if kind == "adamw" else Adam)(used, lr=learning_rate, weight_decay=weight_decay)

    return make
