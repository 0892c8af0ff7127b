"""Attributes of HDF5 groups, which services write as numbers, arrays of one, bytes or text."""

from __future__ import annotations

from typing import Any

import numpy as np


def attribute(name: str, *groups: Any) -> Any:
    """An attribute of the first group that has it, as plain Python; None if none does."""
    for group in groups:
        if group is not None and name in group.attrs:
            return plain(group.attrs[name])
    return None


def plain(value: Any) -> Any:
    """A number, text, or a list of them."""
    array = np.asarray(value)
    if array.size == 1:
        value = array.reshape(-1)[0]
    elif array.ndim:
        return [plain(each) for each in array]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip("\0 ")
    return value.item() if isinstance(value, np.generic) else value


def number(name: str, *groups: Any) -> float | None:
    """A numeric attribute, also where it is written as text. Raises `ValueError`."""
    value = attribute(name, *groups)
    return None if value is None or value == "" else float(value)
