"""Weights that a training begins with: of an earlier training, or of a file that was published."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from functools import lru_cache
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from ..errors import CorruptError, OptionError
from ..stores.committed import committed_at
from ..stores.files import filesystem
from ..stores.sealed import read_sealed

if TYPE_CHECKING:
    from torch import Tensor, nn

STATE = "state.safetensors"
RUN = "forecast.json"
"""Of a run's folder: where its solvers lie."""
FILES = (".safetensors", ".pt", ".pth", ".ckpt")


def located(place: str) -> str:
    """The file of the weights at a place: of a run's folder, of a solver's folder, or itself.

    Raises `OptionError` where there are none.
    """
    files, path = filesystem(place)
    if place.endswith(FILES) and files.isfile(path):
        return place
    folder = place.rstrip("/")
    if files.isfile(f"{path.rstrip('/')}/{RUN}"):
        said = read_sealed(f"{folder}/{RUN}", advice="run the recipe again") or {}
        solvers = said.get("solvers", {})
        folder = f"{folder.rpartition('/runs/')[0]}/{solvers.get('free', solvers.get('held', ''))}"
        files, path = filesystem(folder)
    if not files.isfile(f"{path.rstrip('/')}/{STATE}"):
        raise OptionError(
            f"there are no weights at {place!r}",
            allowed=f"the folder of a run or of a fitted solver, or a file ({', '.join(FILES)})",
            advice="give the folder that `thalweg run` names, or the path of such a file",
            where="train.initial",
        )
    return f"{folder}/{STATE}"


def content_of(file: str) -> bytes:
    """The bytes of a file of weights. Raises `CorruptError` where a committed one is not what was written."""
    folder, _, name = file.rpartition("/")
    committed = committed_at(folder) if name == STATE else None
    if committed is not None:
        return committed.content(f"{folder.rpartition('/')[2]}/{name}")
    files, path = filesystem(file)
    found: bytes = files.cat_file(path)
    return found


def sha256_of(place: str) -> str:
    """What a training's digest holds of initial weights: their content, wherever they lie."""
    file = located(place)
    files, path = filesystem(file)
    return _sha256(file, str(files.ukey(path)))


@lru_cache(maxsize=8)
def _sha256(file: str, mark: str) -> str:  # noqa: ARG001
    return hashlib.sha256(content_of(file)).hexdigest()


def weights_at(place: str) -> dict[str, Tensor]:
    """The weights by name, dense; of a published file, what lies under `state_dict` or `model` if it has such a key.

    Raises `CorruptError` for what is no file of tensors by name, or tensors without values.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    name = located(place)
    content = content_of(name)
    try:
        if name.endswith(".safetensors"):
            return {key: _dense(each, key, file=name) for key, each in load(content).items()}
        found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (SafetensorError, ValueError, RuntimeError, OSError, EOFError, KeyError, UnpicklingError) as error:
        why = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise CorruptError(
            f"{name} cannot be read as weights: {type(error).__name__}{f': {why}' if why else ''}",
            advice="give a file of tensors by name: `train.initial`",
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(each, torch.Tensor) for name, each in found.items()
    ):
        raise CorruptError(f"{name} holds no tensors by name", advice="give a state dict: `train.initial`")
    return {key: _dense(each, key, file=name) for key, each in found.items()}


def _dense(tensor: Tensor, name: str, *, file: str) -> Tensor:
    """A tensor as a network holds it: its values side by side, of a type that is computed with."""
    import torch

    if tensor.is_meta:
        raise CorruptError(
            f"{file} holds no values of {name!r}: it is a tensor of the device `meta`",
            allowed="tensors with values",
            advice="save the weights from the device where they were learned: `train.initial`",
        )
    if tensor.is_quantized:
        tensor = torch.dequantize(tensor)
    dense = tensor.to_dense() if tensor.layout != torch.strided else tensor
    return dense.float() if dense.is_floating_point() and dense.element_size() < 2 else dense


def begin_with(network: nn.Module, weights: Mapping[str, Tensor], *, source: str) -> None:
    """Put weights into a network; or into the network inside it, or of the network inside theirs, under an enforcer.

    Raises `CorruptError` with the names, shapes and kinds of number that differ.
    """
    from .checkpoint import load_weights, refuse_others

    own = network.state_dict()
    inner, outer = _prefix(list(own), list(weights)), _prefix(list(weights), list(own))
    named = {f"{inner}{name.removeprefix(outer)}": each for name, each in weights.items() if name.startswith(outer)}
    named = {name: _like(each, own.get(name)) for name, each in named.items()}
    if inner:
        named = {**own, **named}
    if any(each.is_meta for each in own.values()):
        refuse_others(network, named, source=source)
    else:
        load_weights(network, named, source=source)


def _prefix(own: list[str], given: list[str]) -> str:
    """What stands before all given names among these; nothing if they are among them as they are, or nowhere."""
    names = set(own)
    if not given or names >= set(given):
        return ""
    ends = (each.removesuffix(given[0]) for each in own if each.endswith(f".{given[0]}"))
    return next((each for each in ends if all(f"{each}{name}" in names for name in given)), "")


def _like(weights: Tensor, expected: Tensor | None) -> Tensor:
    """Complex numbers are kept as pairs."""
    import torch

    if expected is None or not expected.is_complex() or weights.is_complex():
        return weights
    return torch.view_as_complex(weights.contiguous())
