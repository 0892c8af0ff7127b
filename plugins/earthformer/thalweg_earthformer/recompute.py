"""Trading time for memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint


def recomputed(call: Callable[..., Any], *arguments: Any, when: bool) -> Any:
    """`call(*arguments)`; if `when`, nothing inside is kept for the backward pass, which computes it again."""
    if when and torch.is_grad_enabled():
        return checkpoint(call, *arguments, use_reentrant=False)
    return call(*arguments)
