"""What follows from shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def known(function: Callable[P, R]) -> Callable[P, R]:
    """Computed once for the same arguments, and a constant to a compiler, which would trace what is merely cached."""

    @lru_cache(maxsize=4096)
    def cached(*arguments: P.args, **named: P.kwargs) -> R:
        # Tensors that are made in inference could not be used to learn.
        with torch.inference_mode(False):
            return function(*arguments, **named)

    @torch.compiler.assume_constant_result
    @wraps(function)
    def constant(*arguments: P.args, **named: P.kwargs) -> R:
        return cached(*arguments, **named)

    return constant
