"""Whether an estimate lies at its own leads: tried on series that some methods follow exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from ..components import Learner
from ..components.signature import Signature
from ..errors import ThalwegError
from ..samples import Samples, Windows, index_of
from .report import ensure
from .scenes import BATCH

EXACT = 1e-3
"""Of the spread of the truth: an error below this is none."""


def leads_are_not_shifted(case: Any) -> None:
    """An estimate that is exact, is so at its own lead; and one that moves has moved at its first."""
    epochs = isinstance(case.method, Learner) and "epochs" in case.method.trains_on
    if epochs or not _windowed(case.data):
        return  # After an epoch no network is exact, at any lead.
    for what, data in exact_series(case.data):
        estimate, inputs, truth = _tried(case, data)
        if estimate is None:
            continue
        for name in case.wanted.names:
            if name in estimate and "lead" in estimate[name].dims:
                said = estimate[name].mean("member") if "member" in estimate[name].dims else estimate[name]
                ensure_unshifted(said, inputs[name], truth[name], what=f"{name} of {what}")


def ensure_unshifted(estimate: xr.DataArray, inputs: xr.DataArray, truth: xr.DataArray, *, what: str) -> None:
    """Fail if an estimate is the truth of other leads, or repeats the last input before it moves."""
    dims = [dim for dim in truth.dims if dim not in ("sample", "lead")]
    said = estimate.transpose("sample", "lead", *dims).values.astype("float64")
    known = np.concatenate([each.transpose("sample", "lead", *dims).values for each in (inputs, truth)], axis=1)
    first = inputs.sizes["lead"]
    count = said.shape[1]
    spread = float(np.ptp(known)) or 1.0

    def error(shift: int) -> float:
        """Against the truth `shift` leads later, where there is one; infinite where fewer than two leads are left."""
        own = [h for h in range(count) if 0 <= first + h + shift < known.shape[1]]
        if len(own) < 2:
            return float("inf")
        return max(float(np.abs(said[:, h] - known[:, first + h + shift]).max()) for h in own) / spread

    if error(0) > 10 * EXACT:
        for shift in (-2, -1, 1, 2):
            late = "later" if shift > 0 else "earlier"
            ensure(error(shift) > EXACT, f"the estimate of {what} is the truth of {abs(shift)} lead {late}")
        steps = [float(np.abs(said[:, h] - known[:, first - 1]).max()) / spread for h in range(count)]
        still = steps[0] <= 1e-6 and max(steps) > 10 * EXACT
        ensure(not still, f"the estimate of {what} at the first lead is the last input, and moves after that")


def exact_series(data: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """The data with other values: along straight lines, on waves, and with steps that shrink."""
    dim = str(index_of(data).dim)
    time = np.arange(data.sizes[dim], dtype="float64")
    yield "a straight line in time", _filled(data, lambda cell: 0.3 + (0.2 + 0.1 * cell) * (time - 24) / 48)
    yield "a travelling wave", _filled(data, lambda cell: 0.5 + 0.3 * np.sin(2 * np.pi * (cell - time / 9)))
    yield "a yearly cycle", _filled(data, lambda cell: 0.5 + 0.3 * np.sin(2 * np.pi * (cell - time / 12)))
    for damping in (0.5, 0.9):
        # About the test split the steps are large enough to be told apart.
        begin = int(Samples.of(data, "test").numbers[0])
        away = damping ** (time - begin - 6.0)
        yield (
            f"steps that shrink by {damping}",
            _filled(data, lambda cell, away=away: 0.5 + (0.1 + 0.1 * cell) * away.clip(max=4.0)),
        )


def _filled(data: xr.Dataset, value: Any) -> xr.Dataset:
    """Every field along the samples' dim with a series of its own in each cell; `cell` goes from 0 to 1."""
    dim = str(index_of(data).dim)
    made = {}
    for name, each in data.data_vars.items():
        if dim in each.dims and each.dtype.kind == "f":
            others = [d for d in each.dims if d != dim]
            shape = [each.sizes[d] for d in others]
            cells = np.linspace(0, 1, int(np.prod(shape)), endpoint=False)
            values = np.stack([value(cell) for cell in cells], axis=-1).reshape(len(each[dim]), *shape)
            array = xr.Variable((dim, *others), values).transpose(*each.dims)
            made[name] = each.copy(data=array.values.astype(each.dtype))
    return data.assign(made)


def _tried(case: Any, data: xr.Dataset) -> tuple[xr.Dataset | None, xr.Dataset, xr.Dataset]:
    """An estimate of the method for these data, if it can make one; inputs and truth."""
    samples = Samples.of(data, "test")
    inputs, truth = samples.inputs(BATCH), samples.truth(BATCH)
    try:
        solver = case.solver_of(data)
        return solver.solve(inputs.copy(deep=True), case.wanted), inputs, truth
    except (ThalwegError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None, inputs, truth  # Too regular to be learned from.


def _windowed(data: xr.Dataset) -> bool:
    index = index_of(data)
    same = isinstance(index, Windows) and not index.predict and not index.observe
    wanted, given = (Signature(getattr(Samples.of(data, "test"), side).fields) for side in ("wanted", "given"))
    return same and index.series is None and set(wanted.names) <= set(given.names)
