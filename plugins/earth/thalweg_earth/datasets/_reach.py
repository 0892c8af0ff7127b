"""Reaching a source: local paths and fsspec URLs, and errors that say what is wrong with them.

Credentials in options and URLs are references, `${NAME}`, that are followed here; what passes by itself is tried again.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thalweg import SourceError, boundaries, credentials

__all__ = ["Options", "fetch", "filesystem", "info", "is_remote", "local_path", "require", "unreachable"]

Options = Mapping[str, Any] | None
"""What fsspec needs to reach a source."""


def is_remote(url: str) -> bool:
    """Whether `url` is anything but a local path."""
    return "://" in url and not url.startswith(("file://", "local://"))


def local_path(url: str) -> Path:
    """The path that a local `url` names."""
    return Path(os.path.expanduser(url.removeprefix("file://").removeprefix("local://")))  # noqa: PTH111


def filesystem(url: str, storage_options: Options = None) -> tuple[Any, str]:
    """The fsspec file system of `url`, and the path in it. Raises `SourceError` if no driver knows it."""
    return boundaries.filesystem(url if is_remote(url) else str(local_path(url)), storage_options, kind=SourceError)


def require(url: str, storage_options: Options = None) -> None:
    """Raise `SourceError`, offering what lies beside it, unless `url` is there and is a file or a folder."""
    system, path = filesystem(url, storage_options)
    try:
        if not is_remote(url):
            _refuse_devices(url)
        else:
            info(system, path)
    except SourceError:
        raise
    except Exception as error:
        if not boundaries.is_absent(error):
            raise unreachable(url, error) from error
    else:
        return
    parent, _, name = path.rstrip("/").rpartition("/")
    try:
        beside = sorted(each.rstrip("/").rpartition("/")[2] for each in system.ls(parent or "/", detail=False))
    except Exception:
        beside = []
    near = difflib.get_close_matches(name, beside, n=3)
    offered = near or [each for each in beside if not each.startswith(".")][:5]
    raise SourceError(
        f"there is no {url!r}",
        allowed=f"in {parent or '/'!r}: {', '.join(offered)}" if offered else "a file, a folder or a URL",
        advice=f"did you mean {near[0]!r}?" if near else "check the path, or fetch the source first",
    )


def _refuse_devices(url: str) -> None:
    """To open a FIFO is to wait for ever."""
    mode = local_path(url).stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise SourceError(
            f"{url!r} is {boundaries.kind_of(mode)}", allowed="a file or a folder", advice="give the path of a file"
        )


def unreachable(url: str, error: BaseException) -> SourceError:
    """The error of a source that does not answer, or needs a driver that is not installed."""
    why, allowed, advice = boundaries.reason(error)
    return SourceError(
        f"{credentials.masked(url)!r} cannot be read: {why}",
        allowed=allowed or "a source that answers",
        advice=advice or "check the address, the network and `storage_options`, and try again",
    )


def info(system: Any, path: str) -> dict[str, Any]:
    """What a file system knows of a path. Raises what kept the answer away; `is_absent` tells whether it is absence."""
    return boundaries.patiently(lambda: dict(system.info(path)))


def fetch(url: str, target: Path, storage_options: Options = None) -> None:
    """Copy a remote file to a local one, whole: an answer that broke off is asked for again. Raises `SourceError`."""
    system, path = filesystem(url, storage_options)
    try:
        size = info(system, path).get("size")

        def whole() -> None:
            system.get_file(path, str(target))
            if size is not None and target.stat().st_size != size:
                raise EOFError(f"{target.stat().st_size} of {size} bytes came")

        boundaries.patiently(whole)
    except Exception as error:
        raise unreachable(url, error) from error
