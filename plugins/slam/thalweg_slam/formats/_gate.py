"""The one way into a trajectory: finite, of unit rotations, in order of time, every time once; and what was mended."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
from thalweg import SourceError

from ..trajectory import Trajectory
from ._tables import MARK, Lines, read_bytes

Array = np.ndarray[Any, np.dtype[Any]]
Rows = Literal["refuse", "drop"]
"""What becomes of rows that are not finite, have no rotation, or give another pose at the time of an earlier one."""
Unit = Literal["s", "ms", "us", "ns"]
"""Of times."""

log = logging.getLogger("thalweg")

DIGITS: dict[Unit, int] = {"s": 9, "ms": 6, "us": 3, "ns": 0}
COARSE = 2**22
"""Seconds from which a float has fewer digits than ns."""
LATE = 9 * 10**9
"""Seconds, in the year 2255: beyond are times in another unit, and no int64 of ns."""
ROUNDED, SHOWN = 1e-3, 3
TIMES = "give the file's times (times, truth_times), and "


def rows_of(path: str) -> Lines:
    """Lines of numbers with their places in the file: comments, blank lines and a line of names at the top left out.

    Commas part numbers as blanks do. Raises `SourceError` if there are none.
    """
    content = read_bytes(path).removeprefix(MARK)
    found = Lines()
    for number, line in enumerate(content.splitlines(), start=1):
        bare = line.strip()
        if not bare or bare[:1] in (b"#", b"%"):
            continue
        words = bare.replace(b",", b" ").replace(b";", b" ")
        if not len(found) and number <= 2 and not any(_number(each) for each in words.split()):
            continue
        found.text.append(words)
        found.numbers.append(number)
    if not len(found):
        raise SourceError(f"{path!r} has no poses", allowed="a trajectory", advice="look at the path and the format")
    return found


def _number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


NO_TIME = int(np.iinfo(np.int64).min)
"""Of a row whose time is not finite, which the gate drops."""


def clock(words: list[bytes], *, unit: Unit, lines: Lines, path: str, rows: Rows = "refuse") -> Array:
    """Times in ns, int64, of what a file says in some unit, to its last digit; `NO_TIME` of rows to be dropped.

    Raises `SourceError`.
    """
    digits = DIGITS[unit]
    found = np.empty(len(words), np.int64)
    for i, word in enumerate(words):
        try:
            value = Decimal(word.decode())
            if not value.is_finite():
                if rows == "drop":
                    found[i] = NO_TIME
                    continue
                raise SourceError(
                    f"{_place(path, lines, i)}: the time is {word.decode()}",
                    allowed="numbers",
                    advice="mend the line; or leave such rows out: rows: drop",
                )
            if abs(value).scaleb(digits - 9) > LATE:
                raise SourceError(
                    f"{_place(path, lines, i)}: a time of {word.decode()} {unit}",
                    allowed=f"times in {unit}, before the year 2255",
                    advice="say in which unit times are: time_unit (truth_time_unit): ms, us or ns",
                )
            if unit == "ns" and value != value.to_integral_value():
                raise SourceError(
                    f"{_place(path, lines, i)}: a time of {word.decode()} ns",
                    allowed="whole ns",
                    advice="say in which unit times are: time_unit (truth_time_unit): s",
                )
            found[i] = int(value.scaleb(digits).to_integral_value())
        except (InvalidOperation, UnicodeDecodeError):
            raise SourceError(
                f"{_place(path, lines, i)}: {word!r} is no time", allowed="numbers", advice="mend the line"
            ) from None
    return found


def gate(
    translation: Array,
    rotation: Array,
    times: Array | None,
    *,
    lines: Lines,
    path: str,
    rows: Rows = "refuse",
    stamps: Array | None = None,
) -> Trajectory:
    """A trajectory of the rows of a file, whose `lines` are told where one is wrong; says what it mends.

    Rows that are not finite or have no rotation are refused, or dropped. Quaternions are normalised. Rows are put in
    order of `times` (ns; `stamps` are the same in s, as they were read), copies left out. Without times none is
    dropped, for a row's place is its name. Raises `SourceError`.
    """
    name = PurePosixPath(path).name
    norm = np.linalg.norm(rotation, axis=1)
    bad = ~(np.isfinite(translation).all(axis=1) & np.isfinite(norm) & (norm > 0))
    if times is not None:
        bad |= times == NO_TIME
    number = np.array(lines.numbers)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        why = "a quaternion that is zero" if norm[first] == 0 else "numbers that are not finite"
        if rows == "refuse" or times is None:
            raise SourceError(
                f"{_place(path, lines, first)}: {why}{_more(bad)}: {lines.text[first].decode(errors='replace')[:60]!r}",
                allowed="poses of numbers, of unit quaternions",
                advice=f"mend the line; or {'' if times is not None else TIMES}leave such rows out: rows: drop",
            )
        log.warning("%s: dropped %s, not finite or without rotation", name, _listed(number[bad]))
    off = np.abs(norm - 1) > ROUNDED
    if (off & ~bad).any():
        log.warning(
            "%s: normalised %d quaternions (norm %.4g in line %d)",
            name,
            int((off & ~bad).sum()),
            norm[off & ~bad][0],
            number[off & ~bad][0],
        )
    keep = np.flatnonzero(~bad)
    if times is not None:
        keep = keep[np.argsort(times[keep], kind="stable")]
        back = int((np.diff(times[~bad]) < 0).sum())
        if back:
            log.warning("%s: not in order of time (%d steps back); sorted", name, back)
        # The opposite quaternion is the same rotation.
        unit = rotation / np.where(norm > 0, norm, 1.0)[:, None]
        largest = np.take_along_axis(unit, np.abs(unit).argmax(axis=1)[:, None], axis=1)
        poses = np.column_stack([translation, np.where(largest < 0, -unit, unit)])
        keep = _once(keep, times, poses, lines=lines, path=path, rows=rows)
    if not len(keep):
        raise SourceError(f"{path!r} has no poses that are finite", allowed="a trajectory", advice="look at the file")
    exact_norm = np.where(np.abs(norm - 1) > 1e-14, norm, 1.0)[keep, None]
    found = Trajectory(translation[keep], rotation[keep] / exact_norm, dropped=len(norm) - len(keep))
    if times is None:
        return found
    coarse = bool(np.abs(times[keep]).max(initial=0) > COARSE * 10**9)
    seconds = times / 1e9 if stamps is None else stamps
    return replace(found, stamps=seconds[keep], exact=times[keep] if coarse else None)


def _once(keep: Array, times: Array, poses: Array, *, lines: Lines, path: str, rows: Rows) -> Array:
    """Of rows (in order) of the same time the first; refuses others than copies."""
    again = np.zeros(len(keep), bool)
    again[1:] = np.diff(times[keep]) == 0
    if not again.any():
        return keep
    first = keep[np.maximum.accumulate(np.where(again, 0, np.arange(len(keep))))]
    copy = (poses[keep] == poses[first]).all(axis=1)
    other = np.flatnonzero(again & ~copy)
    number = np.array(lines.numbers)
    if len(other) and rows == "refuse":
        at = int(other[0])
        raise SourceError(
            f"{_place(path, lines, int(keep[at]))}: another pose at the time of line {number[first[at]]}"
            f"{_more(again & ~copy)}",
            allowed="every time once",
            advice="take one of the lines out; or keep the first of each: rows: drop",
        )
    log.warning("%s: dropped %s, whose times are there already", PurePosixPath(path).name, _listed(number[keep[again]]))
    return keep[~again]


def _place(path: str, lines: Lines, row: int) -> str:
    return f"{PurePosixPath(path).name}, line {lines.numbers[row]}"


def _more(which: Array) -> str:
    count = int(which.sum()) - 1
    return f" ({count} more such lines)" if count else ""


def _listed(numbers: Array) -> str:
    shown = ", ".join(map(str, np.sort(numbers)[:SHOWN].tolist()))
    return f"{len(numbers)} rows (lines {shown}{', ...' if len(numbers) > SHOWN else ''})"
