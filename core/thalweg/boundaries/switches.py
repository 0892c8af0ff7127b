"""YAML reads `on`, `yes` and `true` as a switch; pydantic would read a switch as the number 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OptionError


def refuse_switches(given: Mapping[str, Any], validated: object, *, where: str) -> None:
    """Raise `OptionError` if a switch became a number among the options that were given."""
    for name, value in given.items():
        if _turned(value, getattr(validated, name, None)):
            raise OptionError(
                f"{value!r} is no number (YAML reads on, off, yes, no, true and false as switches)",
                allowed="a number",
                advice=f"give {name!r} a number",
                where=f"{where}.{name}",
            )


def _turned(given: Any, validated: Any) -> bool:
    if isinstance(given, bool):
        return isinstance(validated, int | float) and not isinstance(validated, bool)
    if isinstance(given, Mapping) and isinstance(validated, Mapping):
        return any(_turned(value, validated.get(key)) for key, value in given.items())
    if isinstance(given, list | tuple) and isinstance(validated, list | tuple):
        return any(_turned(one, other) for one, other in zip(given, validated, strict=False))
    return False
