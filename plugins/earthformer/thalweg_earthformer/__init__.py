"""Earthformer: forecasting by attention within cuboids of space and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from thalweg import Method, Register, hookimpl

if TYPE_CHECKING:
    from torch import nn


def from_reference(config: Mapping[str, Any]) -> nn.Module:
    """The model of a configuration of the published implementation, for `reference.load_reference` to fill.

    `config` is what its class is called with, or the `model:` of its YAML files, as a mapping. Raises `OptionError`.
    """
    from .reference import from_reference as build

    return build(config)


@hookimpl
def register_methods(register: Register[Method]) -> None:
    from .learner import Earthformer

    register("earthformer", Earthformer)
