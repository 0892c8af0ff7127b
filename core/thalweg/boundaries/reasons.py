"""What the world's errors mean: whether they may pass by themselves, and one line for each.

File systems, aiohttp, botocore, JSON and YAML each raise their own kinds. They are told apart by name, so that none of
these libraries is imported to look at an error.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping

from ..credentials import masked
from ..errors import OptionError, ThalwegError

SILENCE = 20.0
"""Seconds for which a server may be silent; `THALWEG_TIMEOUT` gives others."""

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_CODES = "SlowDown Throttling ThrottlingException RequestTimeout InternalError ServiceUnavailable 503 500 429"
_PASSING = frozenset(_CODES.split())
_LASTING = frozenset(
    ["ClientConnectorCertificateError", "ClientConnectorDNSError", "SSLCertVerificationError", "InvalidURL"]
)
_BROKEN = frozenset(["ClientPayloadError", "IncompleteRead", "ResponseStreamingError", "IncompleteReadError"])
_LOST = _BROKEN | {"ClientConnectionError", "HTTPClientError", "ConnectionClosedError", "EndpointConnectionError"}
_LIBRARIES = (
    "aiohttp aiobotocore botocore boto3 s3fs gcsfs adlfs fsspec requests urllib3 httpx httpcore ssl socket yaml json "
    "zarr numcodecs h5py h5netcdf pyarrow asyncio zlib gzip lzma bz2 zipfile tarfile paramiko ftplib"
)
_FOREIGN = frozenset(_LIBRARIES.split())
_CLIENTS = frozenset(["aiobotocore", "aiohttp", "botocore", "fsspec", "s3fs", "gcsfs", "adlfs", "yarl"])
"""Packages whose errors are the world's, and not faults of ours."""

_ERRNO = {
    errno.ENOSPC: ("no space is left", "free some, or give another place"),
    errno.EDQUOT: ("the disk quota is used up", "free some, or give another place"),
    errno.EROFS: ("the file system is read-only", "give a place that can be written"),
    errno.EACCES: ("access is not permitted", "give a place that you may use, or ask for the permission"),
    errno.EPERM: ("access is not permitted", "give a place that you may use, or ask for the permission"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "give a folder"),
    errno.EISDIR: ("it is a folder, not a file", "give a file"),
    errno.EEXIST: ("a file of this name is there already", "give another place, or move the file"),
    errno.ENAMETOOLONG: ("the name is too long for the file system", "give a shorter path"),
    errno.ELOOP: ("its symbolic links lead in a circle", "mend the links"),
    errno.EMFILE: ("too many files are open", "raise the limit (`ulimit -n`), or use fewer workers"),
    errno.EIO: ("the device failed to read or write", "check the disk or the mount"),
    errno.ESTALE: ("the network file system lost the file", "mount it again, and run the same command"),
    errno.ENODEV: ("no such device", "give a file or a folder"),
    errno.ENXIO: ("no such device or address", "give a file or a folder"),
}

_CREDENTIALS = "give the credentials that it wants (docs/recipe.md, Credentials), or `anon: true` for a public one"


def timeout() -> float:
    """Seconds for which a server may be silent. Raises `OptionError`."""
    given = os.environ.get("THALWEG_TIMEOUT", "")
    try:
        seconds = float(given or SILENCE)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise OptionError(f"THALWEG_TIMEOUT is {given!r}", allowed="seconds, above 0", advice="unset or correct it")
    return seconds


def is_passing(error: BaseException) -> bool:
    """Whether a failure may pass by itself: a busy server, a connection lost, an answer that broke off."""
    if isinstance(error, ThalwegError) or not isinstance(error, Exception):
        return False
    cause = telling(error)
    status = _status(cause)
    if status:
        return status in _BUSY
    if _code(cause):
        return _code(cause) in _PASSING
    if isinstance(cause, FileNotFoundError | PermissionError | FileExistsError):
        return False
    names = {each.__name__ for each in type(cause).__mro__}
    if names & _LASTING:
        return False
    if names & _LOST:
        return True
    return isinstance(cause, ConnectionError | TimeoutError | EOFError) or getattr(cause, "errno", 0) == errno.EBUSY


def is_of_server(error: BaseException) -> bool:
    """Whether a server, or the way to it, is the reason."""
    cause = telling(error)
    names = {each.__name__ for each in type(cause).__mro__}
    lost = isinstance(cause, ConnectionError | TimeoutError) or bool(names & (_LOST | _LASTING))
    return bool(_status(cause) or _code(cause) or lost or names & {"BotoCoreError", "ClientError"})


def is_foreign(error: BaseException) -> bool:
    """Whether the world raised this, and not a fault of ours: the file system, a server, a library that reads files."""
    kinds = OSError | UnicodeError | json.JSONDecodeError | EOFError
    return (
        isinstance(error, kinds) or type(error).__module__.partition(".")[0] in _FOREIGN or _raised_by_a_client(error)
    )


def _raised_by_a_client(error: BaseException) -> bool:
    """Whether a plain `ValueError` is a client's word on an address, such as botocore's on an endpoint."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return name.partition(".")[0] in _CLIENTS


def is_absent(error: BaseException) -> bool:
    """Whether this says that there is nothing; fsspec says so of every failure of HTTP, a busy server's too."""
    cause = telling(error)
    status = _status(cause)
    return status in (404, 410) if status else isinstance(cause, FileNotFoundError)


def reason(error: BaseException) -> tuple[str, str, str]:
    """Why something failed, what is allowed, and what to do, each a phrase."""
    cause = telling(error)
    for rule in (_of_driver, _of_server, _of_connection, _of_system, _of_content):
        found = rule(cause)
        if found is not None:
            return found
    return line(cause), "", "see whether it can be reached, and run the same command again"


def line(error: BaseException, *, limit: int = 300) -> str:
    """An error in one line, its credentials masked."""
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return masked(text if len(text) <= limit else f"{text[: limit - 4]} ...")


def _of_driver(error: BaseException) -> tuple[str, str, str] | None:
    if isinstance(error, ImportError):
        return (
            f"it needs a driver that is not installed ({line(error)})",
            "local paths, http(s), and every URL whose fsspec driver is installed",
            'install it; for s3, `pip install "thalweg[s3]"`',
        )
    if isinstance(error, ValueError) and "protocol not known" in str(error).lower():
        return (
            f"no driver knows the scheme {str(error).rpartition(':')[2].strip()!r}",
            "a path, or a URL of fsspec: s3://, https://, gs://, abfs://, ...",
            "correct the scheme; a local path has no `://`",
        )
    return None


def _of_server(error: BaseException) -> tuple[str, str, str] | None:
    status, code = _status(error), _code(error)
    name = type(error).__name__
    said = " ".join(filter(None, (str(status or ""), code if code != str(status) else "")))
    if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"):
        return f"no credentials were found ({line(error)})", "", _CREDENTIALS
    if status in (401, 403, 407) or code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"):
        return f"the server refuses access ({said})", "", _CREDENTIALS
    if status in (404, 410) or code in ("NoSuchBucket", "NoSuchKey"):
        return f"the server has nothing there ({said})", "an address that exists", "check the address"
    if status in _BUSY or code in _PASSING:
        return f"the server is busy or down ({said})", "", "run the same command again later"
    if status or code:
        return f"the server answers {said}: {line(error)}", "", "check the address"
    return None


def _of_connection(error: BaseException) -> tuple[str, str, str] | None:
    names = {each.__name__ for each in type(error).__mro__}
    if names & _BROKEN:
        return "the answer broke off before its end", "the whole file", "run the same command again"
    if isinstance(error, TimeoutError) or names & {"ConnectTimeoutError", "ReadTimeoutError", "ServerTimeoutError"}:
        return (
            f"the server does not answer within {timeout():g} s",
            "",
            "check the address and the network; THALWEG_TIMEOUT gives other limits",
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError) or names & {
        "ServerDisconnectedError",
        "ConnectionClosedError",
    }:
        return "the server closed the connection", "", "run the same command again later"
    if names & {"ClientConnectorCertificateError", "SSLCertVerificationError", "ClientSSLError", "SSLError"}:
        return f"its certificate is not trusted ({line(error)})", "", "check the address, or install its certificate"
    if isinstance(error, ConnectionError) or names & {
        "ClientConnectorError",
        "ClientConnectionError",
        "EndpointConnectionError",
        "gaierror",
        "HTTPClientError",
    }:
        return f"no server answers ({line(error)})", "", "check the address and the network"
    return None


def _of_system(error: BaseException) -> tuple[str, str, str] | None:
    if isinstance(error, NotImplementedError):
        return "this kind of URL cannot do that: it can be read at most", "s3://, gs://, a local path", "give another"
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and number in _ERRNO:
        why, advice = _ERRNO[number]
        return why, "", advice
    if isinstance(error, PermissionError):
        return f"access is not permitted ({line(error)})", "", _CREDENTIALS
    if isinstance(error, FileNotFoundError):
        return "there is nothing", "a file or folder that exists", "check the path"
    return None


def _of_content(error: BaseException) -> tuple[str, str, str] | None:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8", "text in UTF-8", "convert it, with `iconv -t UTF-8` for example"
    if isinstance(error, json.JSONDecodeError):
        return f"it is not JSON ({error})", "", "fetch or make it again"
    if isinstance(error, EOFError):
        return "it ends too early", "the whole file", "fetch or make it again"
    return None


def telling(error: BaseException) -> BaseException:
    """The error in a chain that says what happened: fsspec wraps a refused request in "not found"."""
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            break
        root = type(cause).__module__.partition(".")[0]
        if root in ("aiohttp", "botocore", "aiobotocore") or _status(cause):
            return cause
        cause = cause.__cause__ or cause.__context__
    first = error.__cause__
    lost = isinstance(error, FileNotFoundError) and isinstance(first, TimeoutError | ConnectionError)
    return first if first is not None and lost else error


def _status(error: BaseException) -> int:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    else:
        found = getattr(error, "status", None) or getattr(response, "status_code", None) or 0
    return found if isinstance(found, int) else 0


def _code(error: BaseException) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, Mapping) else ""
