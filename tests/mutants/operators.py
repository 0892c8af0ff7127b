"""Enforcers of the `operator` site that break a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import xarray as xr
from thalweg import (
    Held,
    Law,
    OperatorEnforcer,
)

from .laws import Above, ZeroSum


class Ends(OperatorEnforcer):
    """A network that ends in an output of zero sum."""

    takes: ClassVar[tuple[type[Law], ...]] = (ZeroSum,)

    def known(self, held: Held, context: xr.Dataset) -> Mapping[str, Any]:
        return {}

    def wrap(self, network: Any, held: Held, prefix: str) -> Any:
        return Ended(network, self.end)

    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output - output.mean((2, 3), keepdim=True)


class Ended(torch.nn.Module):
    def __init__(self, network: Any, end: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.network, self.end = network, end
        self.given, self.wanted = network.given, network.wanted

    def forward(self, inputs: torch.Tensor, known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.end(inputs, self.network(inputs, known))


class EndsNaN(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return super().end(inputs, output) * float("nan")


class EndsFree(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output


class EndsMute(Ends):
    def wrap(self, network: Any, held: Held, prefix: str) -> Any:
        ended = super().wrap(network, held, prefix)
        ended.wanted = ended.given
        return ended


class EndsInPlace(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        inputs += 1
        return super().end(inputs, output)


class EndsTogether(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return super().end(inputs, output - output.mean(0))


class EndsDetached(Ends):
    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return super().end(inputs, output.detach())


class EndsHeavy(Ends):
    def wrap(self, network: Any, held: Held, prefix: str) -> Any:
        ended = super().wrap(network, held, prefix)
        ended.register_buffer("rows", torch.zeros(held.grid.sizes["x"]))
        return ended


KEPT = Ends


MUTANTS: Mapping[str, Any] = {
    "output_obeys_for_any_weights_and_inputs": (EndsFree, EndsNaN),
    "layouts_are_kept": EndsMute,
    "inputs_are_left_alone": EndsInPlace,
    "samples_do_not_see_one_another": EndsTogether,
    "weights_can_be_learned": EndsDetached,
    "weights_are_those_of_the_network": EndsHeavy,
}
"""Parts that break a check, by its name."""


class EndsAbove(Ends):
    """A network that ends above a floor."""

    takes: ClassVar[tuple[type[Law], ...]] = (Above,)

    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output.clamp(min=0.2) + 0.01 * (output - output.detach())


class EndsAnywhere(EndsAbove):
    """Of bounded networks, most are above a floor that is low."""

    def end(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output
