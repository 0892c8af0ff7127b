"""Reaching a source: local paths and fsspec URLs, and errors that say what is wrong with them."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from thalweg.errors import SourceError

Options = Mapping[str, Any] | None
"""What fsspec needs to reach a source."""

Answer = TypeVar("Answer")


def is_remote(url: str) -> bool:
    """Whether `url` is anything but a local path."""
    return "://" in url and not url.startswith(("file://", "local://"))


def local_path(url: str) -> Path:
    """The path that a local `url` names."""
    return Path(url.removeprefix("file://").removeprefix("local://")).expanduser()


def filesystem(url: str, storage_options: Options = None) -> tuple[Any, str]:
    """The fsspec file system of `url`, and the path in it. Raises `SourceError` if no driver knows it."""
    try:
        system, path = fsspec.core.url_to_fs(url if is_remote(url) else str(local_path(url)), **(storage_options or {}))
    except (ImportError, ValueError) as error:
        raise unreachable(url, error) from error
    return system, str(path)


def require(url: str, storage_options: Options = None) -> None:
    """Raise `SourceError`, offering what lies beside it, unless `url` is there."""
    system, path = filesystem(url, storage_options)
    try:
        info(system, path)
    except FileNotFoundError:
        pass
    except Exception as error:
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


def unreachable(url: str, error: BaseException) -> SourceError:
    """The error of a source that does not answer, or needs a driver that is not installed."""
    if isinstance(error, ImportError):
        return SourceError(
            f"{url!r} needs a driver: {error}",
            allowed="local paths, http(s), and every URL whose fsspec driver is installed",
            advice="for s3, install thalweg[s3]",
        )
    return SourceError(
        f"{url!r} cannot be read: {type(error).__name__}: {error}",
        allowed="a source that answers",
        advice="check the address, the network and `storage_options`, and try again",
    )


def info(system: Any, path: str) -> dict[str, Any]:
    """What a file system knows of a path. Raises `FileNotFoundError`, or what kept the answer away.

    fsspec calls every failure of http "not found", that of a server which is down or busy, too.
    """

    def ask() -> dict[str, Any]:
        try:
            return dict(system.info(path))
        except FileNotFoundError as error:
            cause = error.__cause__
            if not type(cause).__module__.startswith("aiohttp") or getattr(cause, "status", 0) in (404, 410):
                raise
            raise ConnectionError(str(cause)) from cause

    return patiently(ask)


def patiently(call: Callable[[], Answer], *, tries: int = 3) -> Answer:
    """What `call` returns, asked again if it fails for another reason than that there is nothing."""
    for attempt in range(tries - 1):
        try:
            return call()
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:
            time.sleep(0.2 * 4**attempt)
    return call()
