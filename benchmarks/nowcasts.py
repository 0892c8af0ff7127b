"""Ensemble nowcasts of the published size of TAASRAD19, on synthetic showers: what a training step and a member cost,
and what a law costs while members are drawn. Processor seconds of one thread; ratios of the same process."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from _timing import in_turn, report
from thalweg import Hold, Registry, Samples, Signature
from thalweg.components.context import context_of
from thalweg.components.steering import Steering
from thalweg.learning import Layout
from thalweg.losses import FairCRPS
from thalweg.samples import Windows
from thalweg.testing.toy_learner import learn
from thalweg_earth.laws.mean_intensity import MeanIntensity
from thalweg_prediff.crps_nowcast import CRPSNowcast
from thalweg_prediff.flow_nowcast import FlowNowcast

SIZE, INPUTS, LEADS, BATCH, MEMBERS = 64, 13, 12, 8, 8
OPTIONS: dict[str, Any] = {"members": MEMBERS, "spread": 0.3, "dry": 0.0, "gap": 18.0}


def showers(steps: int = 48) -> xr.Dataset:
    """Of which most cells are dry; values 0 to 182, as those of the recipe."""
    random = np.random.default_rng(0)
    row, column = np.indices((SIZE, SIZE))
    fields = np.zeros((steps, SIZE, SIZE))
    for _ in range(24):
        y, x, speed, height = random.uniform([0, -40, 0.6, 40], [SIZE, SIZE, 1.2, 160])
        for step in range(steps):
            fields[step] += height * np.exp(-((row - y) ** 2 + (column - x - speed * step) ** 2) / 40)
    rain = np.clip(fields - 10 + random.normal(size=fields.shape), 0, 182).astype("float32")
    data = xr.Dataset({"rain": (("time", "y", "x"), rain, {"units": "1", "valid_range": [0, 182]})})
    data = data.assign_coords(time=np.datetime64("2000-01-01", "ns") + np.arange(steps) * np.timedelta64(300, "s"))
    begin = np.arange(steps - INPUTS - LEADS + 1)
    label = np.where(begin < 16, 0, 2)
    return Windows(dim="time", begin=begin, row=0 * begin, label=label, inputs=INPUTS, targets=LEADS).on(data)


def step_of(learner: Any, given: Signature, wanted: Signature) -> Any:
    """A training step on a batch of random fields."""
    network = learner.build(given, wanted)
    network.told(0.0, 0.1)
    optimizer, loss = torch.optim.AdamW(network.parameters(), 1e-3), FairCRPS(share=0.94)
    inputs, truth = (torch.rand(BATCH, *Layout.of(each).shape).clamp(min=0.5) - 0.5 for each in (given, wanted))
    asked = {name: each for name, each in learner.noises(given, wanted).items() if each.only != "solving"}

    def step() -> None:
        noise = {}
        for name, each in asked.items():
            draw = torch.randn if each.kind == "normal" else torch.rand
            noise[name] = draw(BATCH, *((MEMBERS,) if each.members else ()), *each.shape)
        _, value = learner.objective(
            network, inputs, truth, step=0, loss=lambda made, true: loss.value(made, true).mean(), noise=noise
        )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = showers()
    train, test = Samples.of(data, "train"), Samples.of(data, "test")
    inputs, wanted = test.inputs(slice(0, 2)), test.first(2).wanted
    kinds = {"flow-nowcast": FlowNowcast(**OPTIONS, steps=6), "crps-nowcast": CRPSNowcast(**OPTIONS)}
    steps = {f"{name}, a step of {BATCH}": step_of(each, train.given, train.wanted) for name, each in kinds.items()}
    report(in_turn(steps, clock=time.process_time), against=f"flow-nowcast, a step of {BATCH}")
    with tempfile.TemporaryDirectory(prefix="thalweg-bench-") as folder:
        solvers = {name: learn(each, data, Path(folder, name), epochs=1, batch=BATCH) for name, each in kinds.items()}
    flow: Any = solvers["flow-nowcast"]
    enforcer = Registry.installed().make("enforcers", "conditioned-sampling")
    context = context_of(inputs, wanted)

    def held(deviations: float) -> xr.Dataset:
        law = MeanIntensity(variable="rain", step=0.19, deviations=deviations)
        found: xr.Dataset = flow.sample(
            inputs, wanted, Steering([Hold((law,), enforcer)], test.grid, lambda _: context)
        )
        return found

    ways = {
        "flow-nowcast, free": lambda: flow.solve(inputs, wanted),
        "flow-nowcast, under mean-intensity": lambda: held(2.0),
        "crps-nowcast": lambda: solvers["crps-nowcast"].solve(inputs, wanted),
    }
    seconds = in_turn(ways, clock=time.process_time)
    report(
        {name: [each / (2 * MEMBERS) for each in taken] for name, taken in seconds.items()}, against=next(iter(ways))
    )
    for deviations in (-2.0, 0.0, 2.0, 4.0):
        law = MeanIntensity(variable="rain", step=0.19, deviations=deviations)
        target = law.targets(context, test.grid)[:, 0].values[:, None]
        mean = held(deviations).rain.mean(("lead", "y", "x"), dtype="float64")
        error = float(abs(mean / target - 1).max())
        print(f"n = {deviations:+.0f}: largest relative error of a member's mean {error:.1e}")


main()
