r"""A critic in the loss of the autoencoder, as published: hinge losses, and a weight from the norms of two gradients.

$$ \lambda = c \, \min\left(\frac{\lVert \nabla_w L \rVert}{\lVert \nabla_w G \rVert + 10^{-4}}, 10^4\right) $$

with $w$ the weights of the decoder's last layer, $L$ the reconstruction's loss, $G$ the critic's opinion, less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from thalweg.learning import Batch, Objective
from torch import Tensor, nn


class Convinces(Objective):
    """The loss of the autoencoder, and after some steps the critic's opinion of its frames."""

    over: Literal["sample", "batch"] = "batch"

    def __init__(self, usual: Any, modules: nn.ModuleDict, *, weight: float, after: int) -> None:
        super().__init__()
        self.network: Any = modules["network"]
        self.critic: Any = modules["critic"]
        self.usual = usual
        self.weight, self.after = weight, after

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss, and what it is made of."""
        found = self.network.learned(*self.usual.scaled(batch), self.usual.noise(batch))
        if batch.step < self.after or not torch.is_grad_enabled():
            return {"loss": found.loss, "reconstruction": found.loss}
        opinion = -self.critic(found.made).mean()
        last = self.network.autoencoder.decoder.last_weight
        own, other = (torch.autograd.grad(each, last, retain_graph=True)[0].norm() for each in (found.loss, opinion))
        balance = self.weight * (own / (other + 1e-4)).clamp(0.0, 1e4).detach()
        return {"loss": found.loss + balance * opinion, "reconstruction": found.loss, "balance": balance}


class Tells(Objective):
    """The critic's own: frames as they were above 1, those that came back below -1."""

    over: Literal["sample", "batch"] = "batch"

    def __init__(self, usual: Any, modules: nn.ModuleDict) -> None:
        super().__init__()
        self.network: Any = modules["network"]
        self.critic: Any = modules["critic"]
        self.usual = usual

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """The hinge loss."""
        with torch.no_grad():
            found = self.network.learned(*self.usual.scaled(batch), self.usual.noise(batch))
        true, made = self.critic(found.frames), self.critic(found.made)
        return {"loss": 0.5 * ((1.0 - true).relu().mean() + (1.0 + made).relu().mean())}
