"""Checkpoints: one safetensors file, its header holding the rest as JSON; written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CorruptError
from ..stores.files import writing

NAME = "checkpoint.safetensors"


def save(folder: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write a checkpoint beside the old one, and put it in its place. Raises `StoreError` if there is no room."""
    from safetensors.torch import save_file

    target = folder / NAME
    draft = folder / f".{NAME}.draft"
    with writing(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        # Copies, because tied weights share memory, which the format does not allow.
        own = {name: each.detach().to("cpu", copy=True).contiguous() for name, each in tensors.items()}
        save_file(own, draft, metadata={"record": json.dumps(record)})
        _flush(draft)
        draft.replace(target)
        _flush(folder)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The checkpoint of a folder, or None. Raises `CorruptError`."""
    from safetensors import SafetensorError, safe_open

    file = folder / NAME
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            record = json.loads(opened.metadata()["record"])
            return {name: opened.get_tensor(name) for name in opened.keys()}, record  # noqa: SIM118
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{file} is no checkpoint: {error}", advice=f"delete {file}, and run again") from None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], *, source: str) -> None:
    """Put weights into a module, all of them. Raises what `refuse_others` raises."""
    refuse_others(module, weights, source=source)
    with torch.no_grad():
        module.load_state_dict(dict(weights))


def refuse_others(module: nn.Module, weights: Mapping[str, Tensor], *, source: str) -> None:
    """Raise `CorruptError` for weights that have not the names, shapes and kinds of number of a module's."""
    own = module.state_dict()
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    shapes = [
        f"{name} {tuple(weights[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    kinds = [
        f"{name} {_dtype(weights[name])}, not {_dtype(own[name])}"
        for name in own
        if name in weights and _kind(weights[name]) != _kind(own[name])
    ]
    found = [
        f"{title}: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
        for title, names in (
            ("missing", missing),
            ("not in the network", extra),
            ("of another shape", shapes),
            ("of another kind", kinds),
        )
        if names
    ]
    if found:
        raise CorruptError(
            f"{source} holds another architecture\n  " + "\n  ".join(found),
            allowed=f"the {len(own)} arrays of {type(module).__name__}",
            advice="build the network with the options of these weights, or delete them and learn anew",
        )


def _kind(tensor: Tensor) -> str:
    """What its numbers are: a cast between these is no rounding."""
    if tensor.dtype == torch.bool:
        return "truth value"
    return "real" if tensor.is_floating_point() else "complex" if tensor.is_complex() else "whole"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
