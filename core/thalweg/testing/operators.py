"""What an enforcer of the `operator` site keeps, on a small network of the kit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..components import Law, OperatorEnforcer
from ..components.context import context_of
from ..components.held import Held
from ..samples import Samples
from .candidates import broken, obeyed
from .report import Check, ensure
from .scenes import BATCH
from .small_network import small_network

if TYPE_CHECKING:
    from torch import Tensor

SEEDS = (0, 1, 2)
"""Of weights and inputs."""

STRETCHES = ((1.0, 0.0), (8.0, 1.0), (-8.0, -4.0), (50.0, 0.0))
"""Of the output: scale and shift."""


@dataclass
class Case:
    """An enforcer, a law that it takes, and samples whose shapes networks are made for."""

    enforcer: OperatorEnforcer
    law: Law
    data: xr.Dataset

    @cached_property
    def samples(self) -> Samples:
        return Samples.of(self.data, "test")

    def inputs(self, seed: int) -> xr.Dataset:
        """As samples have them, with values of no scene: between 0.1 and 0.9."""
        found, draw = self.samples.inputs(BATCH), np.random.default_rng(seed)
        made = {
            name: array.copy(data=draw.uniform(0.1, 0.9, array.shape).astype(array.dtype))
            for name, array in found.data_vars.items()
            if array.dtype.kind == "f"
        }
        return found.assign(made)

    @cached_property
    def held(self) -> Held:
        return Held((self.law,), self.samples.grid, oracle=self.law.oracle)

    def network(self, seed: int) -> Any:
        """Under the law."""
        return self.enforcer.wrap(self.bare(seed), self.held, "0")

    def known(self, seed: int) -> dict[str, Tensor]:
        """What the enforcer knows of the samples."""
        import torch

        found = self.enforcer.known(self.held, self.context(seed))
        return {f"0/{name}": torch.from_numpy(np.ascontiguousarray(each)) for name, each in found.items()}

    def bare(self, seed: int, *, stretch: tuple[float, float] | None = None) -> Any:
        """A network whose output, stretched and shifted if need be, breaks the law."""
        import torch

        from ..learning import Layout

        made: Any = small_network(Layout.of(self.samples.given), Layout.of(self.samples.wanted), seed=seed)
        scale, shift = self.stretch if stretch is None else stretch
        with torch.no_grad():
            made.out.weight.mul_(scale)
            made.out.bias.mul_(scale).add_(shift)
        return made

    @cached_property
    def stretch(self) -> tuple[float, float]:
        """Fails if no network of the kit breaks the law."""
        for each in STRETCHES:
            made = (self.output(self.bare(seed, stretch=each), seed) for seed in SEEDS)
            if all(
                broken(self.law, output, self.context(seed), self.samples.grid)
                for seed, output in zip(SEEDS, made, strict=True)
            ):
                return each
        raise AssertionError(f"no network of the kit breaks {self.law.name}: holding it would show nothing")

    def context(self, seed: int) -> xr.Dataset:
        truth = self.samples.truth(BATCH) if self.law.oracle else None
        return context_of(self.inputs(seed), self.samples.wanted, truth)

    def tensor(self, seed: int) -> Tensor:
        from ..learning import to_tensor

        return to_tensor(self.inputs(seed))

    def estimate(self, seed: int) -> xr.Dataset:
        return self.output(self.network(seed), seed)

    def output(self, network: Any, seed: int) -> xr.Dataset:
        import torch

        from ..learning import to_dataset

        with torch.no_grad():
            output = network(self.tensor(seed), self.known(seed))
        return to_dataset(output, gives=self.samples.wanted, inputs=self.inputs(seed))


def output_obeys_for_any_weights_and_inputs(case: Case) -> None:
    for seed in SEEDS:
        free = case.output(case.bare(seed), seed)
        obeyed(case.law, case.estimate(seed), free, case.context(seed), case.samples.grid)


def layouts_are_kept(case: Case) -> None:
    """So that another enforcer can wrap what this one gives."""
    from ..learning import Layout, layouts

    network = case.network(SEEDS[0])
    given, wanted = layouts(network)
    ensure(given == Layout.of(case.samples.given), f"the network it gives takes {given}")
    ensure(wanted == Layout.of(case.samples.wanted), f"the network it gives says that it gives {wanted}")
    output, shape = network(case.tensor(SEEDS[0]), case.known(SEEDS[0])), (BATCH.stop, *wanted.shape)
    ensure(tuple(output.shape) == shape, f"the output has shape {tuple(output.shape)}, not {shape}")


def inputs_are_left_alone(case: Case) -> None:
    tensor = case.tensor(SEEDS[0])
    case.network(SEEDS[0])(tensor, case.known(SEEDS[0]))
    ensure(bool((tensor == case.tensor(SEEDS[0])).all()), "the network it gives changes its inputs; copy them")


def samples_do_not_see_one_another(case: Case) -> None:
    import torch

    network, tensor, known = case.network(SEEDS[0]).eval(), case.tensor(SEEDS[0]), case.known(SEEDS[0])

    def own(number: int) -> dict[str, Tensor]:
        return {name: each if len(each) == 1 else each[number : number + 1] for name, each in known.items()}

    with torch.no_grad():
        together = network(tensor.clone(), known)
        apart = torch.cat([network(each[None].clone(), own(number)) for number, each in enumerate(tensor)])
    gap, largest = float((together - apart).abs().max()), float(apart.abs().max())
    ensure(gap <= 1e-4 * largest, f"solved one by one, the output differs by {gap:.3g} of {largest:.3g}")


def weights_can_be_learned(case: Case) -> None:
    """Down the gradient, a squared error falls."""
    import torch

    network, tensor, known = case.network(SEEDS[0]), case.tensor(SEEDS[0]), case.known(SEEDS[0])
    aim = torch.rand(network(tensor, known).shape, generator=torch.Generator().manual_seed(1))
    weights = [each for each in network.parameters() if each.requires_grad]
    error = (network(tensor, known) - aim).square().mean()
    found = torch.autograd.grad(error, weights, allow_unused=True) if error.requires_grad else ()
    before = float(error.detach())
    gradients = [torch.zeros(()) if each is None else each for each in found]
    ensure(all(bool(torch.isfinite(each).all()) for each in gradients), "a gradient of a weight is not finite")
    norm = float(sum(each.double().square().sum() for each in gradients))
    ensure(norm > 0, "no weight of the network has a gradient")
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.sub_(gradient, alpha=1e-3 * before / norm)
        after = float((network(tensor, known) - aim).square().mean())
    ensure(after < before, f"a step down the gradient goes from {before:.6g} to {after:.6g}")


def weights_are_those_of_the_network(case: Case) -> None:
    """A network that was learned on one grid, or without the law, is read into one under the law."""
    bare, held = case.bare(SEEDS[0]).state_dict(), case.network(SEEDS[0]).state_dict()
    sizes = [sorted(tuple(each.shape) for each in state.values()) for state in (bare, held)]
    ensure(sizes[0] == sizes[1], f"state_dict has {len(held)} entries under the law, and {len(bare)} without")


CHECKS: tuple[Check, ...] = (
    output_obeys_for_any_weights_and_inputs,
    layouts_are_kept,
    inputs_are_left_alone,
    samples_do_not_see_one_another,
    weights_can_be_learned,
    weights_are_those_of_the_network,
)
