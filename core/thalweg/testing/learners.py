"""What a learner keeps, beside what its solver keeps: it learns, from its samples, the same each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..components import Learner
from ..samples import index_of
from .report import Check, ensure
from .scenes import difference

TOLERANCE = 1e-6
"""Of the largest value: what a solver that learned nothing new may differ by."""


def learns_the_same_again(case: Any) -> None:
    """From the same samples, with the same seed."""
    if isinstance(case.method, Learner):
        found = difference(case.estimate_of("again"), case.estimate_of("itself"))
        ensure(not found, f"learned twice, the estimate {found}; seed what is drawn")


def learns_from_its_samples(case: Any) -> None:
    """Other samples teach something else, or a second epoch does: scales alone are not learned."""
    if isinstance(case.method, Learner):
        if "epochs" in case.method.trains_on:
            found = _differ(case.estimate_of("longer"), case.estimate_of("itself"))
            ensure(found, "after another epoch the estimate is the same: it does not learn")
        else:
            found = any(_differ(case.estimate_of(way), case.estimate_of("itself")) for way in ("backward", "squeezed"))
            ensure(found, "from other samples it learns the same: it does not learn")


def does_not_learn_from_the_test_split(case: Any) -> None:
    """What lies in no window of the train split is not seen: the estimate would be scored on what it learned."""
    if isinstance(case.method, Learner) and others(case.data) is not None:
        found = difference(case.estimate_of("other test"), case.estimate_of("itself"))
        again = found and difference(case.estimate_of("again"), case.estimate_of("itself"))
        ensure(not found or again, f"with other values in the test split alone, the estimate {found}")


def _differ(one: xr.Dataset, other: xr.Dataset) -> bool:
    return any(difference(one[name], each, tolerance=TOLERANCE) for name, each in other.data_vars.items())


def taught(data: xr.Dataset) -> Any:
    """The steps, or the samples, that the train split touches; None if they cannot be told."""
    index = index_of(data)
    if index.dim is None or index.series is not None:
        return None
    return index.covered(index.numbers("train"), data)[0]


def others(data: xr.Dataset) -> xr.Dataset | None:
    """The data with other values wherever the train split does not reach; None where that is nowhere."""
    seen = taught(data)
    if seen is None or seen.all():
        return None
    return _changed(data, seen, lambda each, dim: 1 - each.isel({dim: slice(None, None, -1)}))


def backward(data: xr.Dataset) -> xr.Dataset:
    """The data with the steps that the train split reaches in the other order."""
    seen = taught(data)
    dim = index_of(data).dim
    if seen is None:
        return data.assign({n: each * 0.5 + 0.1 for n, each in data.data_vars.items() if each.dtype.kind == "f"})
    order = np.arange(data.sizes[dim])
    order[seen] = order[seen][::-1]
    return _changed(data, ~seen, lambda each, dim: each.isel({dim: order}))


def squeezed(data: xr.Dataset) -> xr.Dataset:
    """The data at half its spread, with another mean and another course, where the train split reaches."""
    seen = taught(data)
    if seen is None:
        return backward(data)
    return _changed(data, ~seen, lambda each, dim: 0.3 + 0.5 * each.isel({dim: slice(None, None, -1)}) ** 2)


def _changed(data: xr.Dataset, kept: Any, change: Callable[[xr.DataArray, str], xr.DataArray]) -> xr.Dataset:
    """The fields along the samples' dim, changed where not `kept`; coordinates stay."""
    dim = str(index_of(data).dim)
    made = {}
    for name, each in data.data_vars.items():
        if dim in each.dims and each.dtype.kind == "f":
            mask = xr.DataArray(kept, dims=dim)
            moved = change(each.drop_vars(list(each.coords)), dim).variable
            made[name] = each.copy(
                data=xr.where(mask.variable, each.variable, moved).transpose(*each.dims).astype(each.dtype).data
            )
    return data.assign(made)


OTHERS: Mapping[str, Callable[[xr.Dataset], Any]] = {
    "again": lambda data: data,
    "longer": lambda data: data,
    "backward": backward,
    "squeezed": squeezed,
    "other test": others,
}
"""What a learner is taught instead, by name; `longer` for more epochs."""

CHECKS: tuple[Check, ...] = (
    learns_the_same_again,
    learns_from_its_samples,
    does_not_learn_from_the_test_split,
)
