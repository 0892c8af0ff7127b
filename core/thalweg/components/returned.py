"""What an author's method returns, where its annotation was not kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ContractError

Kinds = type | tuple[type, ...]


def returned(value: Any, kinds: Kinds, *, by: str, allowed: str, items: Kinds | None = None) -> Any:
    """The value, if it and its items are of these kinds; `by` is "`gives` of NAME". Raises `ContractError`."""
    found = type(value).__name__ if value is not None else "nothing"
    if isinstance(value, kinds):
        every: Any = value.values() if isinstance(value, Mapping) else value
        inside = [] if items is None else list(every)
        wrong = [type(each).__name__ for each in inside if not isinstance(each, items or object)]
        if not wrong:
            return value
        found = f"a {found} of {', '.join(dict.fromkeys(wrong))}"
    raise ContractError(f"{by} gives {found}", allowed=allowed, advice=f"return {allowed}")
