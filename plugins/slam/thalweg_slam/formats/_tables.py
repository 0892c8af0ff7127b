"""Lines of numbers that begin with a word: grouped by that word, and read all at once."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from fsspec.implementations.local import LocalFileSystem
from thalweg import SourceError, ThalwegError, boundaries, credentials, stores

Array = np.ndarray[Any, np.dtype[Any]]

_GZIP = b"\x1f\x8b"
MARK = b"\xef\xbb\xbf"
"""What editors of Windows put before a text."""


def read_bytes(path: str) -> bytes:
    """All of a file at a path or URL, unpacked if it is gzipped. Raises `SourceError`."""
    try:
        files, at = stores.filesystem(path, kind=SourceError)
        _refuse_special(files, at)
        content: bytes = boundaries.patiently(lambda: files.cat_file(at))
        return gzip.decompress(content) if content.startswith(_GZIP) else content
    except ThalwegError:
        raise
    # What a file system raises is as various as these are: each is the file's, or the server's, not ours.
    except Exception as error:
        why, _, advice = boundaries.reason(error)
        raise SourceError(
            f"{credentials.masked(path)!r} cannot be read: {why}",
            allowed="a text file, gzipped or not",
            advice=advice or "look at the path",
        ) from error


def _refuse_special(files: Any, local: str) -> None:
    """Raise `OSError` for a local folder, device or pipe: to read a pipe that nobody writes would never end."""
    if isinstance(files, LocalFileSystem) and Path(local).exists() and not Path(local).is_file():
        raise OSError("it is a folder" if Path(local).is_dir() else "it is no regular file")


def marks(url: str) -> list[tuple[str, Any, Any]]:
    """Name, size and time of every file of a store: what tells whether it was written anew."""
    files, path = stores.filesystem(url)
    found = files.find(path, detail=True)
    return sorted((name[len(path) :], info.get("size"), info.get("mtime")) for name, info in found.items())


def write_text(path: str, text: str) -> None:
    """Write a text file; gzipped if its name ends in `.gz`."""
    content = text.encode()
    stores.write_bytes(path, gzip.compress(content, mtime=0) if path.endswith(".gz") else content, sync=False)


@dataclass
class Lines:
    """Lines that begin with one word, and their numbers in the file, from 1."""

    text: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.text)


def by_tag(content: bytes, *, path: str) -> dict[str, Lines]:
    """The lines of a file by their first word; comments and blank lines are left out.

    Raises `SourceError` for a file that is empty or is no text.
    """
    if b"\0" in content[:4096]:
        raise SourceError(
            f"{path!r} is a binary file", allowed="a text file, gzipped or not", advice="look at the path"
        )
    found: dict[str, Lines] = {}
    for number, line in enumerate(content.removeprefix(MARK).splitlines(), start=1):
        head = line.split(None, 1)
        if head and not head[0].startswith(b"#"):
            lines = found.setdefault(head[0].decode(errors="replace"), Lines())
            lines.text.append(line)
            lines.numbers.append(number)
    if not found:
        raise SourceError(f"{path!r} is empty", allowed="a pose graph", advice="look at the path")
    return found


def table(
    lines: Lines | list[bytes], *, tag: str, ids: int, values: int, path: str, finite: bool = False
) -> tuple[Array, Array]:
    """Ids (n, `ids`), exact to 64 bits, and values (n, `values`) of lines that begin with `tag` (nothing if empty).

    Raises `SourceError` that names the first line that is not so, or that has a number that is not `finite` if all must
    be.
    """
    text, numbers = (lines.text, lines.numbers) if isinstance(lines, Lines) else (lines, range(1, len(lines) + 1))
    head = 1 if tag else 0
    width = head + ids + values
    tokens = b" ".join(text).split()
    fault = _Fault(text, numbers, tag=tag, ids=ids, values=values, path=path)
    if len(tokens) != width * len(text):
        raise fault.error()
    try:
        names = np.array([tokens[head + i :: width] for i in range(ids)], dtype=np.int64)
        words = np.array(tokens, dtype="S" if tag or ids else np.float64).reshape(len(text), width)
        if tag and not (words[:, 0] == tag.encode()).all():
            raise fault.error()
        found = words[:, head + ids :].astype(np.float64)
        # Python takes 1_0 for 10.
        if any(b"_" in line[len(tag) :] for line in text if line.count(b"_") > tag.count("_")):
            raise fault.error()
    except (ValueError, OverflowError):
        raise fault.error() from None
    if finite and not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise fault.at(int(row), f"{words[row, head + ids + column].decode()!r}, which is not finite")
    return names.T.reshape(len(text), ids), found


@dataclass(frozen=True)
class _Fault:
    """What is wrong with the lines of a table."""

    text: Sequence[bytes]
    numbers: Sequence[int]
    tag: str
    ids: int
    values: int
    path: str

    def at(self, row: int, why: str) -> SourceError:
        shown = self.text[row].decode(errors="replace")[:60]
        allowed = " and ".join([*([f"{self.ids} ids"] if self.ids else []), f"{self.values} numbers"])
        return SourceError(
            f"{place(self.path, self.numbers[row])}: {why}: {shown!r}",
            allowed=f"{self.tag + ' with ' if self.tag else ''}{allowed}",
            advice="mend the line, or take it out",
        )

    def error(self) -> SourceError:
        head = 1 if self.tag else 0
        for row, line in enumerate(self.text):
            words = line.split()
            if len(words) != head + self.ids + self.values:
                return self.at(row, f"{len(words) - head} numbers")
            for number, word in enumerate(words[head:]):
                why = _fault_of(word, whole=number < self.ids)
                if why:
                    return self.at(row, f"{word.decode(errors='replace')!r}, which is {why}")
        return SourceError(f"{PurePosixPath(self.path).name}: lines of {self.tag} do not end where they should")


def _fault_of(word: bytes, *, whole: bool) -> str:
    try:
        if b"_" in word:
            raise ValueError
        if not whole:
            float(word)
        elif not -(2**63) <= int(word) < 2**63:
            return "beyond 64 bits"
    except ValueError:
        return "not a number" if not whole else "not a whole number"
    return ""


def place(path: str, line: int) -> str:
    """`name.g2o, line 7`."""
    return f"{PurePosixPath(path).name}, line {line}"
