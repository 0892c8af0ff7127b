"""What the kit found."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..components.calls import error_text

Check = Callable[..., None]
"""Raises `AssertionError` if what its name says does not hold."""


@dataclass(frozen=True)
class Finding:
    """One check of one part; `ok` is None where the kit had nothing to try it on, and `message` says why."""

    kind: str
    part: str
    check: str
    ok: bool | None
    message: str = ""

    def __str__(self) -> str:
        state = {True: "ok", False: "FAILED", None: "not checked"}[self.ok]
        return f"{state}: {self.kind} {self.part}: {self.check}{f': {self.message}' if self.message else ''}"


@dataclass(frozen=True)
class Report:
    """All findings on one plugin."""

    plugin: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.ok is False)

    @property
    def unchecked(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.ok is None)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        passed = sum(each.ok is True for each in self.findings)
        counts = f"{passed} ok, {len(self.failed)} failed, {len(self.unchecked)} not checked"
        return "\n".join([*map(str, (*self.failed, *self.unchecked)), f"{self.plugin}: {counts}"])


def ensure(held: object, message: str) -> None:
    """`assert`, also under `python -O`."""
    if not held:
        raise AssertionError(message)


def label(check: Check) -> str:
    """A check's name, as a phrase."""
    return check.__name__.replace("_", " ")


def attempt(kind: str, part: str, checks: Iterable[Check], *arguments: Any) -> Iterator[Finding]:
    """Run checks one by one; whatever one raises is its message."""
    for check in checks:
        yield _attempt(kind, part, check, arguments)


def _attempt(kind: str, part: str, check: Check, arguments: tuple[Any, ...]) -> Finding:
    try:
        check(*arguments)
    except Exception as error:
        return Finding(kind, part, label(check), False, finding_text(error))
    return Finding(kind, part, label(check), True)


def finding_text(error: Exception) -> str:
    """What the kit found wrong; of anything else that was raised, its kind and the author's line."""
    if isinstance(error, AssertionError) and str(error) and not _authors(error):
        return str(error)
    return error_text(error)


def _authors(error: Exception) -> bool:
    """Whether an assertion is one of the part, not of the kit."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] != "thalweg"
