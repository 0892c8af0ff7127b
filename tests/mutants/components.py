"""Parts that break what every part keeps."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, PrivateAttr
from thalweg import (
    Component,
    Signature,
)


class Plain(Component):
    """Does nothing."""

    size: int = Field(1, description="a number that nothing depends on")


class Undescribed(Plain):
    """Does not say what its option is."""

    other: int = 2


class Bare(Plain):
    __doc__ = None


class Cited(Plain):
    """Cites."""

    cite: ClassVar[str] = "Gauss 1809"


class Overrides(Plain):
    """Overrides."""

    def needs(self) -> Signature:  # type: ignore[misc]
        return Signature()


class Thaws(Plain):
    """Thaws."""

    model_config = ConfigDict(frozen=False)


class Lax(Plain):
    """Takes anything."""

    model_config = ConfigDict(extra="ignore")


class Forgets(Plain):
    """Forgets."""

    def model_post_init(self, context: Any, /) -> None:
        self.__dict__["size"] = self.size + 1


class Locked(Plain):
    """Locked."""

    _lock: Any = PrivateAttr(default_factory=threading.Lock)


KEPT = Plain


MUTANTS: Mapping[str, Any] = {
    "has_a_docstring": Bare,
    "options_are_described": Undescribed,
    "citation_is_a_doi": Cited,
    "core_is_not_overridden": Overrides,
    "is_frozen": Thaws,
    "misspelled_options_are_refused": Lax,
    "options_go_through_json": Forgets,
    "pickles": Locked,
}
"""Parts that break a check, by its name."""
