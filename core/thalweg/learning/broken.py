"""The error of a loss that is no longer finite."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..errors import EstimateError
from .checkpoint import NAME
from .chunk_files import Array
from .job import Job
from .reader import Reader
from .state import Position

FEW = 8


def broken(job: Job, reader: Reader, positions: Array, *, what: str, at: Position) -> EstimateError:
    """The error of a batch whose loss is not finite: its windows, their times, and the statistics of their fields."""
    numbers = reader.samples.numbers[positions]
    inputs, truth = (read(positions.tolist()) for read in (reader.samples.inputs, reader.samples.truth))
    times = inputs.coords.get("reference_time")
    when = "" if times is None else f"\n  reference times {_few(times.values)}"
    lines = [f"  {side} {line}" for side, data in (("input", inputs), ("truth", truth)) for line in _statistics(data)]
    kept = job.folder / NAME
    rate = job.options.learning_rate_at(at.step, steps=job.options.epochs * job.steps_per_epoch)
    back = f"the checkpoint {kept} is kept" if kept.exists() else "there is no checkpoint yet"
    return EstimateError(
        f"{what} in epoch {at.epoch + 1}, batch {at.batch + 1}, step {at.step}, at learning rate {rate:.3g}"
        f"\n  of {', '.join(reader.places) or 'data in memory'}: windows {_few(numbers)}{when}\n" + "\n".join(lines),
        allowed="a loss and a gradient that are finite",
        advice=f"look at these windows; lower `learning_rate` or `clip`, or use `precision: fp32`; {back}",
    )


def _few(values: Array) -> str:
    return ", ".join(map(str, values[:FEW])) + (f" and {len(values) - FEW} more" if len(values) > FEW else "")


def _statistics(data: xr.Dataset) -> list[str]:
    lines = []
    for name, array in data.data_vars.items():
        if array.dtype.kind not in "fiub":
            continue
        values = array.values.astype(np.float64)
        known = values[np.isfinite(values)]
        infinite = int(np.isinf(values).sum())
        missing = 100 * float(np.isnan(values).mean()) if values.size else 0.0
        span = f"{known.min():.4g} to {known.max():.4g}, mean {known.mean():.4g}" if known.size else "no finite value"
        lines.append(f"{name}: {span}, {missing:.3g} % missing{f', {infinite} infinite' if infinite else ''}")
    return lines
