"""Learners whose batch may not be cut, and which do not say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from thalweg import Signature
from thalweg.learning import Layout, Noise
from thalweg.testing.toy_learner import ToyLearner

if TYPE_CHECKING:
    from torch import Tensor, nn


class Contrasts(ToyLearner):
    """Tells each estimate's own truth from those of the others in its batch."""

    def loss(self, estimate: Tensor, truth: Tensor) -> Tensor:
        import torch
        from torch.nn.functional import cross_entropy, normalize

        one, other = (normalize(each.flatten(1), dim=1) for each in (estimate, truth))
        return cross_entropy(one @ other.T / 0.1, torch.arange(len(one)))


class Normed(ToyLearner):
    """Subtracts the mean of a batch while it learns."""

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from torch import nn

        inner = super().build(given, wanted)

        class Centred(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, inputs: Tensor) -> Tensor:
                made: Tensor = self.inner(inputs)
                return made - 0.5 * made.mean(0, keepdim=True) if self.training else made

        return Centred()


class Weighs(ToyLearner):
    """Weighs two losses by the norms of their gradients."""

    def objective(
        self, network: nn.Module, inputs: Any, truth: Tensor, *, step: int, loss: Any, noise: Any
    ) -> tuple[Tensor, Tensor]:
        import torch

        estimate = network(inputs)
        square, absolute = (estimate - truth).square().mean(), (estimate - truth).abs().mean()
        if not network.training:
            return estimate, square
        last = network.out.bias
        one, other = (torch.autograd.grad(each, last, retain_graph=True)[0].norm() for each in (square, absolute))
        return estimate, square + (one / (other + 1e-6)).detach() * absolute


class NoisyInOrder(ToyLearner):
    """Adds the same noise to whichever samples are the first, the second and so on of a batch."""

    def objective(
        self, network: nn.Module, inputs: Any, truth: Tensor, *, step: int, loss: Any, noise: Any
    ) -> tuple[Tensor, Tensor]:
        import torch

        drawn = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0))
        estimate = network(inputs + drawn.to(inputs.dtype))
        return estimate, loss(estimate, truth)


class Noisy(NoisyInOrder):
    """Adds noise that belongs to a sample."""

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        return {"added": Noise(Layout.of(given).shape, only="learning")}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        from torch import nn

        inner = super().build(given, wanted)

        class Clean(nn.Module):
            """Takes its noise, and leaves it."""

            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, inputs: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
                made: Tensor = self.inner(inputs)
                return made

        return Clean()

    def objective(
        self, network: nn.Module, inputs: Any, truth: Tensor, *, step: int, loss: Any, noise: Any
    ) -> tuple[Tensor, Tensor]:
        estimate = network(inputs + noise["added"], noise)
        return estimate, loss(estimate, truth)


class ContrastsOverBatches(Contrasts):
    """Says so."""

    over: ClassVar[Literal["sample", "batch"]] = "batch"


KEPT = ToyLearner

MUTANTS: Mapping[str, Any] = {"gradient_is_the_mean_of_its_pieces": (Contrasts, Normed, Weighs, NoisyInOrder)}
"""Parts that break a check, by its name."""
