"""Lines of numbers that begin with a word: grouped by that word, and read all at once."""

from __future__ import annotations

import gzip
from pathlib import PurePosixPath
from typing import Any

import fsspec
import numpy as np
from thalweg.errors import SourceError

Array = np.ndarray[Any, np.dtype[Any]]

_GZIP = b"\x1f\x8b"


def read_bytes(path: str) -> bytes:
    """All of a file, unpacked if it is gzipped. Raises `SourceError`."""
    try:
        with fsspec.open(path, "rb") as file:
            content: bytes = file.read()
        return gzip.decompress(content) if content.startswith(_GZIP) else content
    except (OSError, EOFError) as error:
        raise SourceError(
            f"{path!r} cannot be read: {error}", allowed="a text file, gzipped or not", advice="look at the path"
        ) from error


def marks(url: str) -> list[tuple[str, Any, Any]]:
    """Name, size and time of every file of a store: what tells whether it was written anew."""
    files, path = fsspec.url_to_fs(url)
    found = files.find(path, detail=True)
    return sorted((name[len(path) :], info.get("size"), info.get("mtime")) for name, info in found.items())


def write_text(path: str, text: str) -> None:
    """Write a text file; gzipped if its name ends in `.gz`."""
    content = text.encode()
    with fsspec.open(path, "wb") as file:
        file.write(gzip.compress(content, mtime=0) if path.endswith(".gz") else content)


def by_tag(content: bytes) -> dict[str, list[bytes]]:
    """The lines of a file by their first word; comments and blank lines are left out."""
    found: dict[str, list[bytes]] = {}
    for line in content.splitlines():
        head = line.split(None, 1)
        if head and not head[0].startswith(b"#"):
            found.setdefault(head[0].decode(errors="replace"), []).append(line)
    return found


def table(lines: list[bytes], *, tag: str, ids: int, values: int, path: str) -> tuple[Array, Array]:
    """Ids (n, `ids`), exact to 64 bits, and values (n, `values`) of lines that begin with `tag` (nothing if empty).

    Raises `SourceError` that names the first line that is not so.
    """
    head = 1 if tag else 0
    width = head + ids + values
    tokens = b" ".join(lines).split()
    if len(tokens) != width * len(lines):
        raise _fault(lines, tag=tag, ids=ids, values=values, path=path)
    try:
        names = np.array([tokens[head + i :: width] for i in range(ids)], dtype=np.int64)
        numbers = np.array(tokens, dtype="S" if tag or ids else np.float64).reshape(len(lines), width)
        if tag and not (numbers[:, 0] == tag.encode()).all():
            raise _fault(lines, tag=tag, ids=ids, values=values, path=path)
        found = numbers[:, head + ids :].astype(np.float64)
    except (ValueError, OverflowError):
        raise _fault(lines, tag=tag, ids=ids, values=values, path=path) from None
    return names.T.reshape(len(lines), ids), found


def _fault(lines: list[bytes], *, tag: str, ids: int, values: int, path: str) -> SourceError:
    name = PurePosixPath(path).name
    allowed = f"{tag + ' with ' if tag else ''}{f'{ids} ids and ' if ids else ''}{values} numbers"
    head = 1 if tag else 0
    for number, line in enumerate(lines, start=1):
        words = line.split()
        why = "" if len(words) == head + ids + values else f"{len(words) - head} numbers"
        for kind, part in ((int, words[head : head + ids]), (float, words[head + ids :])):
            for word in part:
                try:
                    kind(word)
                except ValueError:
                    why = why or f"{word.decode(errors='replace')!r}, which is not a number"
        if why:
            shown = line.decode(errors="replace")[:60]
            place = f"{tag} line {number}" if tag else f"line {number}"
            return SourceError(
                f"{name}, {place}: {why}: {shown!r}", allowed=allowed, advice="mend the line, or take it out"
            )
    return SourceError(f"{name}: lines of {tag} do not end where they should", allowed=allowed)
