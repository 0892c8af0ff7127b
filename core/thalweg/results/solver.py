"""A fitted solver is a folder: `options.json`, `state.safetensors`, `card.md`. Nothing in it is executed."""

from __future__ import annotations

import json
from functools import lru_cache

from ..components import Fitted, Learner, Method, Parts, Solver
from ..errors import CorruptError, EstimateError
from ..recipes.registry import Registry
from ..stores.committed import committed_at
from ..stores.files import filesystem, write_bytes, write_json

CARD = "card.md"
FITTED = ("options.json", "state.safetensors", CARD)
"""The files of a fitted solver."""


def write_fitted(url: str, solver: Fitted, *, card: str) -> None:
    """Write a fitted solver. Raises `EstimateError` for an array without a finite number; land may be NaN."""
    import numpy as np
    from safetensors.numpy import save

    state = {name: np.asarray(array, order="C") for name, array in solver.state.items()}
    for name, array in state.items():
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
            raise EstimateError(
                f"{type(solver).__name__} learned a {name!r} without a finite number",
                advice="look at the training data and its options: the training is not committed",
            )
    write_json(f"{url}/options.json", json.loads(solver.model_dump_json()))
    write_bytes(f"{url}/state.safetensors", save(state))
    write_bytes(f"{url}/card.md", card.encode())


def read_fitted(kind: type[Fitted], url: str, *, registry: Parts | None) -> Fitted:
    """The fitted solver of a folder, compared with its checksums if it is a committed one. Raises `CorruptError`.

    Options may be parts by name, which `registry` makes again.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    options, state = _contents(url, "options.json", "state.safetensors")
    try:
        made = kind.model_validate(json.loads(options), context={} if registry is None else {"registry": registry})
        return made.with_state(load(state))
    except (SafetensorError, ValueError) as error:
        raise CorruptError(
            f"{url} is not what {kind.__name__} wrote: {error}", advice="run again with `--from train`"
        ) from None


def _contents(url: str, *names: str) -> list[bytes]:
    committed = committed_at(url)
    if committed is not None:
        return [committed.content(f"{url.rpartition('/')[2]}/{name}") for name in names]
    files, path = filesystem(url)
    try:
        return [files.cat_file(f"{path}/{name}") for name in names]
    except FileNotFoundError:
        raise CorruptError(f"{url} is no fitted solver", advice="run again with `--from train`") from None


@lru_cache(maxsize=4)
def _read_once(kind: type[Fitted], url: str, registry: Registry) -> Fitted:
    return read_fitted(kind, url, registry=registry)


def solver_of(method: Method, url: str, *, registry: Registry) -> Solver:
    """The solver of a method: itself, or what it learned into the folder `url`."""
    if isinstance(method, Learner):
        return _read_once(method.fitted, url, registry)
    assert isinstance(method, Solver)
    return method
