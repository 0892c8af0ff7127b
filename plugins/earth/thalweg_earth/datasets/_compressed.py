"""Compressed files: gzip, bzip2, xz, and zip with one member, unpacked once per machine."""

from __future__ import annotations

import shutil
import uuid
import zipfile
from pathlib import Path

import fsspec
from thalweg import SourceError

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip"}


def compression(path: Path) -> str | None:
    """How a local file is compressed, by its first bytes."""
    with path.open("rb") as file:
        magic = file.read(6)
    return next((name for start, name in _MAGIC.items() if magic.startswith(start)), None)


def unpacked(path: Path, *, into: Path, name: str) -> Path:
    """A file in the folder `into` with the contents of a compressed one. Raises `SourceError`."""
    found = compression(path)
    copy = into / f"{name}-{path.stem[-80:]}"
    if copy.exists():
        return copy
    if found == "zip":
        _one_member(path)
    into.mkdir(parents=True, exist_ok=True)
    part = into / f"{uuid.uuid4().hex}.part"
    try:
        with fsspec.open(str(path), "rb", compression=found) as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        part.replace(copy)
    except Exception as error:
        # gzip, bz2, lzma and zipfile have an error each for a file that was cut short.
        raise SourceError(
            f"{str(path)!r} cannot be unpacked: {type(error).__name__}: {error}",
            allowed="a whole file of gzip, bzip2, xz or zip",
            advice="fetch it again",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return copy


def _one_member(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.namelist() if not each.endswith("/")]
    except zipfile.BadZipFile as error:
        raise SourceError(
            f"{str(path)!r} cannot be unpacked: {error}", allowed="a whole zip archive", advice="fetch it again"
        ) from error
    if len(members) != 1:
        raise SourceError(
            f"{str(path)!r} holds {len(members)} files",
            allowed="a zip archive of one file",
            advice="unpack it, and give the folder or a glob of its files as `path`",
        )
