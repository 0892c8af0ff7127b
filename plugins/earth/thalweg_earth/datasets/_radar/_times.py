"""Times in text: in the names of files, and in attributes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from thalweg import OptionError

_DATE = r"(?P<Y>(?:19|20)\d\d)(?P<s>[-_./]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?P<H>[01]\d|2[0-3])(?P<c>[-_:.]?)(?P<M>[0-5]\d)(?:(?P=c)(?P<S>[0-5]\d|60)(?:\.\d+)?)?"
_ZONE = r"(?:[ ]?(?P<Z>Z|UTC|[+-]\d\d:?\d\d))?"
_STAMP = rf"(?<!\d){_DATE}(?:[-_T .]|[-_.]?s)?{_CLOCK}"
_IN_TEXT = re.compile(rf"{_STAMP}{_ZONE}(?!\d)", re.IGNORECASE)
_IN_NAME = re.compile(rf"{_STAMP}(?P<Z>Z)?(?!\d)", re.IGNORECASE)
_DAY = re.compile(rf"(?<!\d){_DATE}(?!\d)")

_FIELDS = {"Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d", "d": r"\d\d", "H": r"\d\d", "M": r"\d\d", "S": r"\d\d"}
_FIELDS |= {"j": r"\d{3}", "b": r"[A-Za-z]{3}"}


def in_text(text: str) -> list[np.datetime64]:
    """Every date with a clock time in a text, such as 2020-06-01T12:30:00Z; UTC, an offset from it is taken off.

    Days that there are not, such as 30 February, are not found.
    """
    return _found(_IN_TEXT, text)


def in_name(name: str) -> list[np.datetime64]:
    """Every time in the name of a file, such as 202006011230, 20200601-1230 or 20200601T123000Z; UTC.

    A name with days only means their midnights.
    """
    return _found(_IN_NAME, name) or _found(_DAY, name)


def _found(pattern: re.Pattern[str], text: str) -> list[np.datetime64]:
    found = []
    for match in pattern.finditer(text):
        part = match.groupdict()
        try:
            year, month, day, hour, minute = (int(part.get(key) or 0) for key in "YmdHM")
            moment = datetime(year, month, day, hour, minute)
        except ValueError:
            continue
        moment += timedelta(seconds=int(part.get("S") or 0)) - _offset(part.get("Z"))
        found.append(np.datetime64(moment, "s"))
    return list(dict.fromkeys(found))


def _offset(zone: str | None) -> timedelta:
    if not zone or zone.strip().upper() in ("Z", "UTC"):
        return timedelta()
    digits = re.sub(r"\D", "", zone)
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -away if zone.strip().startswith("-") else away


def by_format(text: str, form: str) -> np.datetime64 | None:
    """The time in a text by a format of `strptime`, such as `AQC%y%j%H%M`; None if it does not fit. UTC."""
    match = _pattern(form).search(text)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match[0], form)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(moment, "s")


@cache
def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"%(.)", form)
    unknown = [each for each in parts[1::2] if each not in _FIELDS]
    if unknown or len(parts) == 1:
        raise OptionError(
            f"{form!r} is not a format of dates in names",
            allowed=", ".join(f"%{each}" for each in _FIELDS),
            advice="write it like `radar_%Y%m%d_%H%M`",
        )
    texts = [_FIELDS[each] if i % 2 else re.escape(each) for i, each in enumerate(parts)]
    return re.compile("".join(texts))
