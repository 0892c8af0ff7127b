"""Credentials: never written, never shown, no part of a digest.

A recipe names a credential by reference, `${NAME}`: an environment variable, read where a file system is opened and
nowhere before. A literal one works as well; either way what leaves the process holds `***` in its place.

Three kinds of value are taken for credentials: texts inside `storage_options` and `headers`, but for those that are
known to be harmless (`endpoint_url`, `region_name`); values of options and variables with a telling name (`password`,
`api_key`); and, in a URL, the part before `@` and signed parameters (`X-Amz-Signature`, `sig`, `token`).
"""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"

SHORTEST = 6
"""Characters of the shortest value that is looked for in texts; shorter ones would be found inside other words."""

_TELLING = (
    r"pass(?:word|wd|phrase|code)|secret|credential|connection[_-]?string|authorization|cookie"
    r"|(?<![a-z])(?:access|account|shared|private|api|storage|consumer|signing|auth|subscription)[_-]?key(?:[_-]?id)?"
    r"|(?<![a-z])(?:access|auth|session|sas|security|refresh|bearer|api|id|private)[_-]?token(?!s)"
    r"|(?<![a-z])pwd(?![a-z])|shared[_-]?access[_-]?signature"
)
_NAME = re.compile(_TELLING, re.IGNORECASE)
_VARIABLE = re.compile(rf"{_TELLING}|_TOKEN$", re.IGNORECASE)
_LOUD = re.compile(r"^(?:[A-Z0-9_]+_)?TOKEN$")
"""Variables that a recipe gives to workers: no option is written in capitals."""
_INSIDE = re.compile(
    r"storage_options$|^(?:fs(?:spec)?|remote|target)_options$|^(?:client|config|s3_additional)_kwargs$"
)
_HEADERS = frozenset({"headers", "cookies", "auth"})
# Texts inside `storage_options` that say where and how, and not who.
_WHERE = (
    "access addressing_style api_version cache_storage cache_type compression consistency default_cache_type "
    "default_location encoding endpoint_url engine host hostname mode project protocol region region_name "
    "signature_version target_protocol user_agent"
)
_WHO = "profile profile_name user username account_name client_id tenant_id anon"
"""What says who asks: shown, but no part of a digest, since the answer is the same."""
_HARMLESS = frozenset(f"{_WHERE} {_WHO}".split())
_PARAMETER = re.compile(
    rf"x-(?:amz|goog|ms)-.*|aws.*|google.*|sig(?:nature)?|policy|key-pair-id|.*token|key"
    rf"|.*(?:api|subscription|user|auth|session)[_-]?key|session[_-]?id|appid|pw|auth|code|expires|jwt|hmac|{_TELLING}",
    re.IGNORECASE,
)
_AZURE = frozenset(
    {"sv", "st", "se", "sr", "sp", "sip", "spr", "ss", "srt", "skoid", "sktid", "skt", "ske", "sks", "skv"}
)

# A password may hold what a URL must not: `host:8080/a@b` is told from it by its port.
_LOOSE = re.compile(
    r"(?P<scheme>\b[a-zA-Z][\w+.-]*://)(?P<user>[^\s/?#'\"<>@:]*):(?!\d{1,5}[/?#])(?P<password>[^\s'\"<>]*)@"
)
_TOKEN = re.compile(r"(?P<scheme>\bhttps?://)(?P<user>[^\s/?#'\"<>@:*$]+)@")
_NO_PASSWORD = ("", "x-oauth-basic")
"""What stands where a password would, after a key in the place of the user."""
_USER = re.compile(r"(?P<scheme>\b[a-zA-Z][\w+.-]*://)(?P<user>[^\s/?#'\"<>@:]*):(?P<password>[^\s/?#'\"<>]*)@")
_QUERY = re.compile(r"(?P<before>[?&;])(?P<name>[\w.-]+)=(?P<value>\$\{\w+\}|[^\s&;'\"<>#,)\]}]+)")
_ASSIGNED = re.compile(
    rf"(?P<before>\b[\w-]*?(?:{_TELLING}|_TOKEN\b)[\w-]*['\"]?\s*(?:=|(?<=['\"]):)\s*)"
    r"(?P<value>\$\{\w+\}|\"[^\"]*\"|'[^']*'|[^\s&;,'\"<>)\]}]+)",
    re.IGNORECASE,
)
# A pair, as a library shows a header. Words after a name and a comma are a sentence: `'MY_SECRET', which is not set`.
_PAIR = re.compile(
    rf"(?P<before>\b[\w-]*?(?:{_TELLING}|_TOKEN\b)[\w-]*['\"]\s*,\s*b?)"
    r"(?P<value>\"[^\"]*\"|'[^']*'|\d+(?=\s*[)\]]))",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<before>\b(?:Authorization|Cookie)(?:['\"]?\s*[:=]\s*['\"]?|['\"]\s*,\s*b?['\"]"
    r"|['\"]?\s*,\s*(?=(?:Basic|Bearer|Digest|Token)\b)))(?P<value>[^'\"\n]+)",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\$\{(\w+)\}")

# Values that this process was given. No registry of anything else: a text from a library is searched for them, and
# there is no other way to know them in it.
_GIVEN: set[str] = set()


def masked(text: str) -> str:
    """A text for people with `***` for every credential in it: by its place in a URL, by its name, by its value."""
    if "://" in text:
        text = _LOOSE.sub(lambda m: f"{m['scheme']}{_kept(m['user'], m['password'])}@", text)
        text = _TOKEN.sub(lambda m: f"{m['scheme']}{MASK}@", text)
        text = _QUERY.sub(
            lambda m: m[0] if not _signs(m["name"]) else f"{m['before']}{m['name']}={_mask(m['value'])}", text
        )
    if _NAME.search(text) or "_TOKEN" in text.upper():
        text = _HEADER.sub(lambda m: f"{m['before']}{_mask(m['value'])}", text)
        text = _PAIR.sub(lambda m: f"{m['before']}{_mask(m['value'])}", text)
        text = _ASSIGNED.sub(lambda m: f"{m['before']}{_mask(m['value'])}", text)
    for value in sorted(_GIVEN | _of_environment(), key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def hidden(tree: Any) -> Any:
    """Plain data for people and records: as it was given, with `***` for every literal credential."""
    return _walked(tree, inside=False, drop=False)


def without(tree: Any) -> Any:
    """Plain data for a digest: who asks, and with which key, is left out, so that a rotated key changes nothing."""
    return _walked(tree, inside=False, drop=True)


def shown(value: Any, *, limit: int = 200) -> str:
    """`repr` of plain data for an error: without credentials, and not longer than a line."""
    try:
        text = repr(_walked(value, inside=False, drop=False))
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deep"
    return masked(text if len(text) <= limit else f"{text[: limit - 4]} ...")


def bare(url: str) -> str:
    """A URL without user, password and signature: what identifies the thing and not who asks for it."""
    if "://" not in url:
        return url
    url = _TOKEN.sub(lambda m: m["scheme"], _USER.sub(lambda m: m["scheme"], url))
    base, mark, query = url.partition("?")
    if not mark:
        return url
    query, hash_, fragment = query.partition("#")
    pairs = [each for each in query.split("&") if each]
    signed = any(each.lower().startswith("sig=") for each in pairs)
    kept = [
        each for each in pairs if not _signs(name := each.partition("=")[0]) and not (signed and name.lower() in _AZURE)
    ]
    return base + ("?" + "&".join(kept) if kept else "") + hash_ + fragment


def remember(tree: Any) -> None:
    """Know the literal credentials of plain data from here on, so that `masked` finds them in any text."""
    _GIVEN.update(form for value in literals(tree) for form in _forms(value))


def literals(tree: Any) -> list[str]:
    """The literal credentials in plain data."""
    secrets: list[str] = []
    _walked(tree, inside=False, drop=False, secrets=secrets)
    return [each for each in dict.fromkeys(secrets) if len(each) >= SHORTEST and each != MASK]


def dereferenced(text: str) -> str:
    """A text with the values of the environment variables that it names as `${NAME}`. Raises `KeyError`."""

    def value(match: re.Match[str]) -> str:
        _GIVEN.update(_forms(os.environ[match[1]]))
        return os.environ[match[1]]

    return _REFERENCE.sub(value, text)


def mask_logs() -> None:
    """Mask every log record that this process makes from now on, whichever library makes it."""
    made = logging.getLogRecordFactory()
    if getattr(made, "masks", False):
        return

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = made(*args, **kwargs)
        try:
            text = record.getMessage()
        except Exception:
            return record
        if (clean := masked(text)) != text:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[1] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            if (clean := masked(trace)) != trace:
                record.exc_text, record.exc_info = clean, None
        return record

    factory.masks = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)


def _signs(parameter: str) -> bool:
    return _PARAMETER.fullmatch(parameter) is not None


def _mask(value: str) -> str:
    """A reference stays as it is: it says where the value is, not what it is."""
    inner = value.strip("'\"")
    return value if not inner or _REFERENCE.fullmatch(inner) else value.replace(inner, MASK)


def _kept(user: str, password: str) -> str:
    return f"{_mask(user)}:{password}" if password in _NO_PASSWORD else f"{user}:{_mask(password)}"


def _forms(value: str) -> Iterator[str]:
    """A value as it stands in texts: plain, and as in URLs."""
    if len(value) >= SHORTEST and value != MASK:
        yield from {value, quote(value, safe=""), quote_plus(value), quote(value)}


@lru_cache(maxsize=8)
def _in_environment(given: tuple[tuple[str, str], ...]) -> frozenset[str]:
    secrets: set[str] = set()
    for name, value in given:
        if _VARIABLE.search(name) and not value.startswith(("/", "~")):
            secrets.update(_forms(value))
        elif "://" in value:
            secrets.update(form for each in literals(value) for form in _forms(each))
    return frozenset(secrets)


def _of_environment() -> frozenset[str]:
    return _in_environment(tuple(os.environ.items()))


def _walked(tree: Any, *, inside: bool, drop: bool, name: str = "", secrets: list[str] | None = None) -> Any:
    """Plain data with its credentials masked, or dropped; `secrets` collects the literal ones."""
    if isinstance(tree, Mapping):
        made = {}
        for key, value in tree.items():
            text = str(key)
            within = inside or bool(_INSIDE.search(text))
            within |= isinstance(value, Mapping) and (text in _HEADERS or bool(_NAME.search(text)))
            if drop and within and text in _WHO.split():
                continue
            new = _walked(value, inside=within, drop=drop, name=text, secrets=secrets)
            # `{client_kwargs: {}}` says no more than nothing does.
            if drop and within and (new is None or new == MASK or new in ({}, [])):
                continue
            if drop and new == MASK:
                continue
            made[key] = new
        return made
    if isinstance(tree, list | tuple | set | frozenset):
        return [_walked(each, inside=inside, drop=drop, name=name, secrets=secrets) for each in tree]
    return _leaf(tree, inside=inside, drop=drop, name=name, secrets=secrets)


def _leaf(value: Any, *, inside: bool, drop: bool, name: str, secrets: list[str] | None) -> Any:
    telling = bool(_NAME.search(name) or _LOUD.search(name)) or (inside and name in ("key", "token", "pass", "auth"))
    text = isinstance(value, str)
    if value is None or value == "" or isinstance(value, bool):
        return value
    if telling or (inside and text and name not in _HARMLESS):
        if text and _REFERENCE.fullmatch(value):
            return MASK if drop else value
        if secrets is not None:
            secrets.append(str(value))
        return MASK
    if not text:
        return value
    if secrets is not None:
        secrets += [m["password"] for m in _LOOSE.finditer(value) if not _REFERENCE.fullmatch(m["password"])]
        secrets += [m["user"] for m in _TOKEN.finditer(value)]
        alone = [m["user"] for m in _LOOSE.finditer(value) if m["password"] in _NO_PASSWORD]
        secrets += [each for each in alone if each and not _REFERENCE.fullmatch(each)]
        signed = [m["value"] for m in _QUERY.finditer(value) if "://" in value and _signs(m["name"])]
        secrets += [each for each in signed if not _REFERENCE.fullmatch(each)]
        return value
    return bare(value) if drop else masked(value)
