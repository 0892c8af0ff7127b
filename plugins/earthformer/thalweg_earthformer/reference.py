"""Models of the published implementation, and its checkpoints.

github.com/amazon-science/earth-forecasting-transformer at 7732b03. Parameters have the same names here, so a state of
either is one of the other; the indices of relative positions, which follow from the sizes, are checked and not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from thalweg import SourceError
from torch import Tensor, nn

from .model import CuboidTransformer
from .reference_configuration import architecture_of
from .relative_position import ReferenceIndex, relative_index

PREFIX = "torch_nn_module."
"""Before every key of a checkpoint that was written by the published training scripts."""


def from_reference(config: Mapping[str, Any]) -> CuboidTransformer:
    """The model of a published configuration, not yet with weights; see `load_reference`."""
    return CuboidTransformer(architecture_of(config))


@dataclass(frozen=True)
class Mismatch:
    """How a state differs from what a model holds."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    def __str__(self) -> str:
        kinds = {"missing": self.missing, "not in the model": self.unexpected, "of another shape": self.shapes}
        return "\n".join(
            f"    {kind} ({len(keys)}): {', '.join(keys[:6])}{', ...' if len(keys) > 6 else ''}"
            for kind, keys in kinds.items()
            if keys
        )


def compare(model: nn.Module, state: Mapping[str, Tensor]) -> Mismatch:
    """How a published state differs from the model's own."""
    own = reference_state(model)
    return Mismatch(
        tuple(key for key in own if key not in state),
        tuple(key for key in state if key not in own),
        tuple(
            f"{key} {tuple(state[key].shape)} for {tuple(value.shape)}"
            for key, value in own.items()
            if key in state and state[key].shape != value.shape
        ),
    )


def reference_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's state with all keys of a published one."""
    state: dict[str, Tensor] = dict(model.state_dict())
    for name, module in model.named_modules():
        index = getattr(module, "_index", None)
        if isinstance(index, ReferenceIndex):
            state[f"{name}.{index.key}"] = torch.from_numpy(relative_index(index.block, index.block, index.block))
    return state


def load_reference(model: nn.Module, source: str | Path | Mapping[str, Any]) -> None:
    """Load a published checkpoint, or a state, strictly. Raises `SourceError`, which reports all keys that differ.

    A file is read by torch with `weights_only=True`: it can hold tensors, and no code.
    """
    given = source if isinstance(source, Mapping) else read_checkpoint(Path(source))
    given = given.get("state_dict", given)
    state: dict[str, Tensor] = {key.removeprefix(PREFIX): value for key, value in given.items()}
    found = compare(model, state)
    if found:
        raise SourceError(
            f"the checkpoint is of another architecture\n{found}",
            allowed="one with the keys and shapes of the model",
            advice="build the model with `from_reference` from the configuration of the checkpoint",
        )
    model.load_state_dict(state, strict=True)


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """The content of a file of torch.save that holds tensors only. Raises `SourceError`."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise SourceError(
            f"{str(path)!r} cannot be read as a checkpoint: {why}",
            allowed="a file of torch.save that holds tensors only",
            advice="give such a file; one that needs code to be run is not opened",
        ) from error
    if not isinstance(state, Mapping):
        raise SourceError(
            f"{str(path)!r} holds a {type(state).__name__}",
            allowed="tensors by name",
            advice="save the module's `state_dict()`",
        )
    return state
