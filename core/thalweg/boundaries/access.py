"""Where thalweg meets what it does not control: file systems, HTTP, S3, JSON, YAML.

Whatever they raise becomes one line (what was given, what is allowed, what to do), and what passes by itself (a busy
server, a reset, an answer that broke off) is tried again, a bounded number of times, by tenacity. What the libraries
can do themselves is left to them: botocore tries requests again, aiohttp notices a body that broke off.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from ..credentials import dereferenced, masked
from ..errors import OptionError, StoreError, ThalwegError
from .reasons import is_of_server, is_passing, reason, timeout

if TYPE_CHECKING:
    import fsspec

Answer = TypeVar("Answer")

TRIES = 4
"""How often a call is made in all."""
CONNECT = 8.0
"""Seconds within which a server must accept a connection."""


def filesystem(
    url: str, options: Mapping[str, Any] | None = None, *, kind: type[ThalwegError] = OptionError
) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a URL, and the path in it; references in both are followed, and waiting is bounded.

    A path without `://` is a local file, whatever else is in its name. Raises `OptionError` for an environment variable
    that is not set, and `kind` for an unknown scheme or a driver that is not installed.
    """
    import fsspec

    if "://" not in url:
        return fsspec.filesystem("file"), os.path.abspath(os.path.expanduser(url))  # noqa: PTH100, PTH111
    plain, given = opening(url, options)
    try:
        files, path = fsspec.core.url_to_fs(plain, **given)
    except Exception as error:
        raise converted(error, url, kind=kind) from None
    return files, str(path)


def opening(url: str, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """A URL and its options as fsspec takes them: references followed, time limits added. Raises `OptionError`."""
    try:
        plain = dereferenced(url)
        given = {key: _followed(value) for key, value in (options or {}).items()}
    except KeyError as error:
        raise OptionError(
            f"{masked(url)!r} needs the environment variable {error.args[0]!r}, which is not set",
            allowed="`${NAME}` with the name of a variable that is set",
            advice=f"set {error.args[0]}, or name another variable",
        ) from None
    scheme = plain.partition("://")[0].rpartition("::")[2].lower()
    if "::" not in plain:
        for key, limits in _limits(scheme).items():
            mine = given.get(key) or {}
            given[key] = {**limits, **mine} if isinstance(mine, Mapping) else mine
    return plain, given


def _limits(scheme: str) -> dict[str, dict[str, Any]]:
    if scheme in ("http", "https"):
        aiohttp = import_module("aiohttp")
        # In all, 5 minutes are the default: too short for a large file, and long for a dead server.
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=timeout())
        return {"client_kwargs": {"timeout": limit}}
    if scheme in ("s3", "s3a"):
        retries = {"mode": "standard", "total_max_attempts": 3}
        return {"config_kwargs": {"connect_timeout": CONNECT, "read_timeout": timeout(), "retries": retries}}
    return {}


def _followed(value: Any) -> Any:
    if isinstance(value, str):
        return dereferenced(value)
    if isinstance(value, Mapping):
        return {key: _followed(each) for key, each in value.items()}
    return [_followed(each) for each in value] if isinstance(value, list | tuple) else value


def patiently(call: Callable[[], Answer]) -> Answer:
    """What `call` returns, tried again where the failure may pass by itself; the last failure is raised.

    No try is begun after the time for which a server may be silent, so a dead one is not waited for `TRIES` times.
    """
    import tenacity

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_passing),
        stop=tenacity.stop_after_attempt(TRIES) | tenacity.stop_after_delay(timeout()),
        wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2),
        reraise=True,
    )(call)


def converted(error: BaseException, url: str, *, kind: type[ThalwegError] = StoreError) -> ThalwegError:
    """The error of one line for what a library raised about `url`."""
    if isinstance(error, ThalwegError):
        return error
    why, allowed, advice = reason(error)
    return kind(f"{masked(url)}: {why}", allowed=allowed, advice=advice)


def asked(call: Callable[[], Answer], name: str, *, kind: type[ThalwegError]) -> Answer:
    """What a part gives, asked again where a server failed; its last failure is raised as `kind`, and no other is."""
    try:
        return patiently(call)
    except Exception as error:
        if not is_of_server(error):
            raise
        # No cause: what aiohttp raises cannot travel back from a worker.
        raise converted(error, name, kind=kind) from None
