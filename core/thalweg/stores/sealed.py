"""JSON files that carry a checksum of themselves, so that a flipped byte in a number is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..errors import CorruptError
from .files import read_json, write_bytes

KEY = "sha256"


def sealed(value: Mapping[str, Any]) -> bytes:
    """A mapping as JSON, with the SHA-256 of its content."""
    plain = json.loads(json.dumps(dict(value), default=str))
    # Keys keep their order: that of joined sources, for one, has a meaning. The sum does not depend on it.
    return json.dumps({**plain, KEY: _sum(plain)}, indent=1).encode()


def write_sealed(url: str, value: Mapping[str, Any]) -> None:
    """Write a sealed JSON file in one step."""
    write_bytes(url, sealed(value))


def read_sealed(url: str, *, advice: str) -> dict[str, Any] | None:
    """What was sealed, or None if there is no such file. Raises `CorruptError` if it is not what was written."""
    try:
        found = read_json(url)
    except CorruptError as error:
        raise CorruptError(error.given, advice=advice) from None
    if found is None:
        return None
    if not isinstance(found, dict) or found.pop(KEY, None) != _sum(found):
        raise CorruptError(f"{url} is not what was written: its checksum does not match", advice=advice)
    return found


def _sum(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
