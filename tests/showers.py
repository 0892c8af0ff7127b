"""Showers that cross a small field, cut into windows, and what is tried on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from thalweg import Fitted, Hold, Samples
from thalweg.samples import Windows
from thalweg.testing.toy_learner import learn

TINY: dict[str, Any] = {"members": 3, "units": (8,), "blocks": 1, "fold": 2, "frames": 2}
SIZE, INPUTS, LEADS = 16, 3, 2


def showers(steps: int = 40) -> xr.Dataset:
    """Of 16 x 16 cells, of which most are dry; values 0 to 100."""
    random = np.random.default_rng(0)
    row, column = np.indices((SIZE, SIZE))
    fields = np.zeros((steps, SIZE, SIZE))
    for _ in range(12):
        y, x, speed, height = random.uniform([0, -40, 0.6, 30], [SIZE, SIZE, 1.2, 90])
        for step in range(steps):
            fields[step] += height * np.exp(-((row - y) ** 2 + (column - x - speed * step) ** 2) / 8)
    rain = np.clip(fields - 10 + random.normal(size=fields.shape), 0, 100).astype("float32")
    data = xr.Dataset({"rain": (("time", "y", "x"), rain, {"units": "1", "valid_range": [0, 100]})})
    data = data.assign_coords(time=np.datetime64("2000-01-01", "ns") + np.arange(steps) * np.timedelta64(300, "s"))
    begin = np.arange(steps - INPUTS - LEADS + 1)
    label = np.where(begin < 24, 0, 2)
    label[(begin > 18) & (begin < 24)] = -1
    index = Windows(dim="time", begin=begin, row=0 * begin, label=label, inputs=INPUTS, targets=LEADS)
    return index.on(data)


DATA = showers()
TEST, TRAIN = Samples.of(DATA, "test"), Samples.of(DATA, "train")
INPUT = TEST.inputs(slice(0, 2))
WANTED = TEST.first(2).wanted


def learned(kind: Any, folder: Path, *, holds: tuple[Hold, ...] = (), epochs: int = 1, **options: Any) -> Fitted:
    """What a nowcast learns."""
    made = kind(**{**TINY, "dry": 0.0, "gap": 10.0, **options})
    return learn(made, DATA, folder, holds=holds, epochs=epochs, batch=8)


def with_members(solver: Any, count: int, *, batch: int = 8) -> Any:
    """The same weights, and another number of members."""
    network = solver.network
    learner = type(network.learner).model_validate({**network.learner.model_dump(), "members": count})
    gives = learner.gives(network.given, network.wanted)
    return replace(network, learner=learner, gives=gives, batch=batch, built={}).solver()
