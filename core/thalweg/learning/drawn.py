"""Noise as an input of a network: drawn of samples and members, and handed to the network that asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..components.draw import Draw
from ..components.signature import Signature
from ..errors import ContractError
from .noise import When

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .contract import NetworkLearner

PREFIX = "noise"
"""Of its names among what a network under laws knows."""


class Noises:
    """What a learner asks for, while it learns or when it solves."""

    def __init__(self, learner: NetworkLearner, when: When, *, given: Signature, wanted: Signature) -> None:
        """Raises `ContractError` for noise of members where the learner gives none."""
        every = learner.noises(given, wanted)
        self.asked = bool(every)
        """Whether the network takes noise beside its inputs, be it none of this side."""
        self._own = {name: each for name, each in every.items() if each.only in (None, when)}
        gives = learner.gives(given, wanted)
        self._members = gives.sizes.get("member", 0) if "member" in gives.uncertainty else 0
        for name, each in every.items():
            if each.members and not self._members:
                raise ContractError(
                    f"the noise {name!r} of {learner.name} is of members, and it gives {str(gives)!r}",
                    allowed="noise of samples, where an estimate has no members",
                    advice="leave `members` out of the noise, or return `truth.with_members(count)` in `gives`",
                )

    def __call__(self, draw: Draw, device: torch.device | None = None) -> dict[str, Tensor]:
        """Of the samples of `draw`, by name; the same for a sample in any batch."""
        import torch

        of_members = draw.of_members(range(self._members))
        made = {}
        for name, each in self._own.items():
            drawn = of_members.normal if each.kind == "normal" else of_members.uniform
            made[name] = torch.from_numpy(drawn(f"{PREFIX}/{name}", each.shape, members=each.members)).to(device)
        return made

    def example(self) -> dict[str, Tensor]:
        """That of one sample, all zeros, on the device that is the default."""
        import torch

        return {
            name: torch.zeros((1, *((self._members,) if each.members else ()), *each.shape))
            for name, each in self._own.items()
        }

    def beside(self, noise: Mapping[str, Tensor], known: Mapping[str, Tensor] | None) -> tuple[dict[str, Tensor], ...]:
        """What a network takes beside its inputs: under laws what is `known`, noise among it; else noise, if any."""
        if known is not None:
            return ({**known, **among(noise)},)
        return (dict(noise),) if self.asked else ()


def among(noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Noise by the names that it has among what a network under laws knows."""
    return {f"{PREFIX}/{name}": each for name, each in noise.items()}
