"""Values as text, whatever numpy holds them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def texts(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Each value as text, in the array's shape: dates in ISO 8601. Strings that a store gave back have no fixed length,
    and numpy does not cast them to those that have one."""
    if values.dtype.kind != "T":
        return values.astype(str)
    import numpy as np

    return np.array(values.tolist(), dtype=str).reshape(values.shape)
