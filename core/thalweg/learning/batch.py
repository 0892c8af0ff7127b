"""What a network learns from at once, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from ..components.draw import Draw

if TYPE_CHECKING:
    from torch import Tensor

    from .chunk_files import Array


_NO_SAMPLES = Draw(0, ())


def own(rows: Tensor) -> Tensor:
    """The rows of this process, which are all."""
    return rows


@dataclass(frozen=True)
class Batch:
    """One micro-batch of a step, on the device where it is learned from; valid until the next one is taken."""

    positions: Array
    """Where its samples lie in the split."""
    inputs: Mapping[str, Tensor]
    """By name, `sample` first, in their own types and units."""
    truth: Mapping[str, Tensor]
    weight: float = 1.0
    """Such that the mean over ranks of the sums over micro-batches is the mean over the step's samples. A micro-batch
    of weight 0 goes along, so that its rank takes part in every exchange."""
    step: int = 0
    """Steps of the training before this one."""
    draw: Draw = _NO_SAMPLES
    """Random numbers of its samples in this epoch, in any order of batches, on any number of ranks."""
    known: Mapping[str, Tensor] = field(default_factory=dict)
    """What laws know of these samples: targets and parameters, made where the batch is read."""
    rows: Callable[[Tensor], Tensor] = own
    """The rows (samples) of a tensor on all ranks, in rank order, with their gradient."""

    def copy(self) -> Batch:
        """This batch in memory of its own, valid for good."""
        return replace(self, inputs=_copied(self.inputs), truth=_copied(self.truth), known=_copied(self.known))


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: each.clone() for name, each in tensors.items()}


class Share(Protocol):
    """A rank's micro-batches of one step."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class Batches(Protocol):
    """What a loop learns from."""

    @property
    def accumulate(self) -> int:
        """Micro-batches of a step, at most."""

    @property
    def steps(self) -> int:
        """Steps of an epoch."""

    def epoch(self, number: int, start: int) -> Iterable[Share]:
        """The shares of this rank from step `start` of the epoch on; each is taken to its end before the next."""

    def speed(self) -> Mapping[str, float]:
        """Numbers about the reading since the epoch began, for the curves; all ranks ask for them."""
