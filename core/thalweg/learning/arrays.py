"""Weights as arrays that a file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def arrays(weights: dict[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Weights as arrays that a file holds: bfloat16 as float32, complex numbers as pairs."""
    import torch

    plain = {}
    for name, each in weights.items():
        own = torch.view_as_real(each) if each.is_complex() else each
        plain[name] = (own.float() if own.dtype in (torch.bfloat16, torch.float16) else own).cpu().numpy().copy()
    return plain
