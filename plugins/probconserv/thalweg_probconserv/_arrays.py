"""One set of formulas for numpy and torch: what differs between the two."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
"""An array of numpy, or a tensor of torch."""

Plain = NDArray[Any]


def is_tensor(array: object) -> bool:
    return type(array).__module__.split(".")[0] == "torch"


def is_lazy(array: object) -> bool:
    return type(array).__module__.split(".")[0] == "dask"


def is_sparse(array: object) -> bool:
    return type(array).__module__.startswith("scipy.sparse")


def namespace(*arrays: object) -> Any:
    """torch if one of these is a tensor, else numpy."""
    if any(is_tensor(each) for each in arrays):
        import torch

        return torch
    return np


def plain(array: Any) -> Plain:
    """As numpy, without gradients."""
    return np.asarray(array.detach().cpu().numpy() if is_tensor(array) else array)


def double(array: Any, *, like: Any = None) -> Any:
    """In float64; a tensor on the device of `like` if that is one."""
    if is_tensor(array):
        import torch

        return array.to(torch.float64)
    if is_tensor(like):
        import torch

        return torch.as_tensor(np.array(array, np.float64), device=like.device)
    return np.asarray(array, np.float64)


def transposed(array: Array) -> Array:
    """Of the last two axes."""
    return array.swapaxes(-1, -2)


def product(matrix: Array, vector: Array) -> Array:
    """Matrices times vectors, over leading axes."""
    return (matrix @ vector[..., None])[..., 0]
