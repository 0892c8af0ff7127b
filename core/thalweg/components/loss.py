"""A part that a learner minimises."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, final

from ..errors import HandshakeError
from .component import Component
from .signature import Signature

if TYPE_CHECKING:
    import torch


class Loss(Component):
    """What a learner minimises, in scaled units."""

    over: ClassVar[Literal["sample", "batch"]] = "sample"
    """`sample`: one value for each sample, whatever the others are. `batch`: one value, of all samples of a step; it is
    gathered over ranks with its gradient, and the plan refuses to cut the batch into micro-batches."""
    takes: ClassVar[Literal["point", "variance", "member", "embedding"]] = "point"
    """What the estimate is: the fields of the truth; they and their variances (twice the channels); members of them,
    `(sample, member, ...)`; or any fields `(sample, feature)`."""

    @abstractmethod
    def value(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """`(sample,)`, over the known cells of each: NaN in the truth is missing, and the estimate there never counts.

        Both are `(sample, lead, *space, channel)`. With `over = "batch"`, a scalar.
        """

    @final
    def fits(self, gives: Signature, truth: Signature) -> None:
        """Raise `HandshakeError` where an estimate that holds `gives` cannot be compared with the truth."""
        found = "point"
        for kind in ("member", "variance", "factor"):
            if kind in gives.uncertainty:
                found = kind
        if self.takes != "embedding" and found != self.takes:
            raise HandshakeError(
                f"{self.name} is a loss of {_WORDS[self.takes]}, and an estimate holds {str(gives)!r}",
                allowed=f"methods whose estimate has {_WORDS[self.takes]}",
                advice="choose another `loss`, or such a method",
            )
        if found == "member" and gives.sizes["member"] < 2:
            raise HandshakeError(
                f"{self.name} compares members, and there is {gives.sizes['member']}", allowed="two members or more"
            )
        self.check(truth)


_WORDS = {"point": "fields", "variance": "fields and their variances", "member": "members", "embedding": "vectors"}
