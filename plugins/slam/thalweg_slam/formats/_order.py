"""What is written, and where to, told apart."""

from __future__ import annotations

import os
from typing import Any

from thalweg import OptionError


def check_order(path: Any, what: Any, *, kind: type, call: str) -> None:
    """Raises `OptionError`, with the right `call`, unless the path comes first, and then what is written."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(what, kind):
        raise OptionError(
            f"{call.partition('(')[0]} of {_named(path)} and {_named(what)}",
            allowed=f"a path, then a {kind.__name__}",
            advice=f"write {call}",
        )


def _named(value: Any) -> str:
    return repr(value) if isinstance(value, (str, os.PathLike)) else f"a {type(value).__name__}"
