"""A fitted solver is a folder: `options.json`, `state.safetensors`, `card.md`, and in `parts/` what it is made from.

`options.json` says which method learned it, so that a folder is read without knowing what is in it. Parts are named by
their content: one that serves several others is kept once. Nothing in a folder is executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from ..components import Fitted, Learner, Method, Parts, Solver
from ..errors import CorruptError, EstimateError, OptionError, ThalwegError
from ..recipes.registry import Registry
from ..stores.committed import committed_at
from ..stores.files import filesystem, write_bytes

FORMAT = 2
"""Of `options.json`; a solver of another one is learned again."""
OPTIONS, STATE, CARD = "options.json", "state.safetensors", "card.md"
PARTS = "parts"

_AGAIN = "run again with `--from train`"


def write_fitted(url: str, solver: Fitted, *, card: str, registry: Parts | None = None) -> None:
    """Write a fitted solver; `registry` knows the methods that learned it and its parts.

    Raises `EstimateError` for an array without a finite number (land may be NaN), `OptionError` for a part of a method
    that nothing registers.
    """
    options, state = _contents(url, solver, registry)
    write_bytes(f"{url}/{OPTIONS}", options)
    write_bytes(f"{url}/{STATE}", state)
    write_bytes(f"{url}/{CARD}", card.encode())


def _contents(url: str, solver: Fitted, registry: Parts | None) -> tuple[bytes, bytes]:
    """Options and arrays of a solver, once its parts are written."""
    import numpy as np
    from safetensors.numpy import save

    state = {name: np.asarray(array, order="C") for name, array in solver.state.items()}
    for name, array in state.items():
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
            raise EstimateError(
                f"{type(solver).__name__} learned a {name!r} without a finite number",
                advice="look at the training data and its options: the training is not committed",
            )
    said = {
        "format": FORMAT,
        "method": learned_by(type(solver), registry),
        "options": json.loads(solver.model_dump_json()),
        "parts": {name: _kept(url, name, each, registry) for name, each in solver.parts.items()},
    }
    return json.dumps(said, indent=2).encode(), save(state)


def _kept(url: str, name: str, part: Fitted, registry: Parts | None, /) -> str:
    """Write a part, and return its folder below that of the whole."""
    refuse_unregistered(type(part), registry, name=name)
    options, state = _contents(url, part, registry)
    folder = f"{PARTS}/{sha256(options + state).hexdigest()[:16]}"
    write_bytes(f"{url}/{folder}/{OPTIONS}", options)
    write_bytes(f"{url}/{folder}/{STATE}", state)
    return folder


def learned_by(kind: type[Fitted], registry: Parts | None) -> str | None:
    """The name of a method whose learning gives solvers of this class; None if no plugin registers one."""
    methods = {} if registry is None else registry.parts("methods")
    return next((name for name, each in methods.items() if getattr(each, "fitted", None) is kind), None)


def refuse_unregistered(kind: type[Fitted], registry: Parts | None, *, name: str) -> None:
    """Raise `OptionError` for a phase whose solver could not be read back."""
    if learned_by(kind, registry) is None:
        raise OptionError(
            f"the phase {name!r} gives a {kind.__name__}, of a method that no plugin registers",
            allowed="phases that are methods by name, so that a folder says what is in it",
            advice=f"register the learner of {name!r} with `register_methods`",
        )


def read_fitted(kind: type[Fitted] | None, url: str, *, registry: Parts | None) -> Fitted:
    """The fitted solver of a folder, compared with its checksums if it is a committed one. Raises `CorruptError`.

    Options may be parts by name, which `registry` makes again. Without a `kind`, the method that it names has it.
    """
    return _read(kind, _reader(url), "", registry, {})


def _read(
    kind: type[Fitted] | None,
    content: Callable[[str], bytes],
    folder: str,
    registry: Parts | None,
    found: dict[str, Fitted],
    /,
) -> Fitted:
    """The solver of a folder; `found` are the parts that were read before, by folder."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if folder in found:
        return found[folder]
    options, state = content(f"{folder}{OPTIONS}"), content(f"{folder}{STATE}")
    try:
        said = json.loads(options)
        _refuse_format(said)
        kind = kind or _kind(said, registry)
        parts = {name: _read(None, content, f"{each}/", registry, found) for name, each in said["parts"].items()}
        context = {} if registry is None else {"registry": registry}
        made = kind.model_validate(said["options"], context=context)
        found[folder] = made.with_state(load(state)).with_parts(parts)
    except ThalwegError:
        raise
    except (SafetensorError, ValueError, KeyError) as error:
        what = kind.__name__ if kind is not None else "a fitted solver"
        raise CorruptError(f"{folder or OPTIONS} is not what {what} wrote: {error}", advice=_AGAIN) from None
    return found[folder]


def _refuse_format(said: Any) -> None:
    form = said.get("format", 1) if isinstance(said, Mapping) else None
    if form != FORMAT:
        raise CorruptError(
            f"{OPTIONS} of a fitted solver has format {form!r}", allowed=f"format {FORMAT}", advice=_AGAIN
        )


def _kind(said: Mapping[str, Any], registry: Parts | None) -> type[Fitted]:
    """What the method that learned it returns."""
    if said["method"] is None or registry is None:
        raise OptionError(
            "a fitted solver does not say which method learned it",
            allowed="one of a registered method",
            advice="give a registry, or the class of the solver",
        )
    method = registry.get("methods", said["method"])
    assert issubclass(method, Learner)
    return method.fitted


def _reader(url: str) -> Callable[[str], bytes]:
    """Reads the files of a folder by name."""
    committed = committed_at(url)
    if committed is not None:
        return lambda name: committed.content(f"{url.rpartition('/')[2]}/{name}")
    files, path = filesystem(url)

    def content(name: str) -> bytes:
        try:
            found: bytes = files.cat_file(f"{path}/{name}")
        except FileNotFoundError:
            raise CorruptError(f"{url} is no fitted solver: it has no {name}", advice=_AGAIN) from None
        return found

    return content


def of_solver(name: str) -> bool:
    """Whether a file of a folder is of the solver itself, whatever run it was learned in."""
    return name in (OPTIONS, STATE) or name.startswith(f"{PARTS}/")


@lru_cache(maxsize=4)
def _read_once(kind: type[Fitted], url: str, registry: Registry) -> Fitted:
    return read_fitted(kind, url, registry=registry)


def solver_of(method: Method, url: str, *, registry: Registry) -> Solver:
    """The solver of a method: itself, or what it learned into the folder `url`."""
    if isinstance(method, Learner):
        return _read_once(method.fitted, url, registry)
    assert isinstance(method, Solver)
    return method
