"""A training step of each rival's `small` preset: batch 8, 13 radar frames of 64 x 64 cells in, 12 out.

Processor time of one thread: what a shared machine leaves comparable.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from _timing import in_turn, report
from thalweg import Field, Registry, Signature
from thalweg.learning import TorchLearner, mean_squared_error

NAMES = ("unet", "convlstm", "predrnn", "phydnet", "e3d-lstm", "rainformer")


def frames(count: int, samples: int) -> Signature:
    field = Field("reflectivity", ("sample", "lead", "y", "x"), "float32", "1")
    return Signature((field,), {"sample": samples, "lead": count, "y": 64, "x": 64})


def step_of(learner: TorchLearner, network: torch.nn.Module, samples: int) -> Callable[[], None]:
    torch.manual_seed(0)
    inputs, truth = torch.rand(samples, 13, 64, 64, 1), torch.rand(samples, 12, 64, 64, 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        chosen = learner.check_options({}).loss

        def value(estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
            return mean_squared_error(estimate, truth) if chosen is None else chosen.value(estimate, truth).mean()

        found = learner.objective(network, inputs, truth, step=100, loss=value, noise={})
        loss = value(network(inputs), truth) if found is None else found[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    options.add_argument("--preset", default="small", help="'' for the published sizes")
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    registry, ways = Registry.installed(), {}
    for name in NAMES:
        learner = registry.make("methods", {name: {"preset": chosen.preset}})
        assert isinstance(learner, TorchLearner)
        network = learner.build(frames(13, chosen.batch), frames(12, chosen.batch)).train()
        size = sum(each.numel() for each in network.parameters())
        ways[f"{name}, {size:,} parameters"] = step_of(learner, network, chosen.batch)
    print(f"processor time of one thread, batch {chosen.batch}, preset {chosen.preset!r}")
    report(in_turn(ways, repeats=chosen.repeats, clock=time.process_time), against=next(iter(ways)))


main()
