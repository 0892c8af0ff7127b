"""Where thalweg meets what it does not control: files, servers, documents, and what their errors mean."""

from __future__ import annotations

from .access import asked, converted, filesystem, opening, patiently
from .documents import kind_of
from .reasons import is_absent, is_foreign, is_passing, line, reason

__all__ = [
    "asked",
    "converted",
    "filesystem",
    "is_absent",
    "is_foreign",
    "is_passing",
    "kind_of",
    "line",
    "opening",
    "patiently",
    "reason",
]
