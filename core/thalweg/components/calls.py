"""Calls of what an author wrote: an exception inside is named once, by part, method, file and line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeVar

from ..errors import PartError, PlannedPartError, ThalwegError
from .component import Component

Result = TypeVar("Result")

LONGEST = 300
"""Characters of an exception's own words that are repeated."""


def call(part: Component, function: Callable[..., Result], /, *arguments: Any, name: str = "", **named: Any) -> Result:
    """`function(*arguments)`, which runs methods of `part`, or of parts inside it or handed to it.

    Raises `PartError` for what an author's code raises and did not mean for a user. `name` is what the part was asked
    for by, where it does not know. What thalweg itself raises, on purpose or not, is left as it is.
    """
    try:
        return function(*arguments, **named)
    except ThalwegError:
        raise
    except Exception as error:
        if _of_a_store(error):
            # A chunk that is not what was written: `reading` says which, outside of the part that read it.
            raise
        found = part_error(error, part, name=name)
        if found is None:
            raise
    # Not from the handler: what travels with it as its context may not pickle.
    raise found


@contextmanager
def planning() -> Iterator[None]:
    """Nothing was started yet: a `PartError` is one of the recipe's."""
    try:
        yield
    except PlannedPartError:
        raise
    except PartError as error:
        raise PlannedPartError.of(error) from None


def part_error(error: BaseException, part: Component | None = None, *, name: str = "") -> PartError | None:
    """What an exception says of the part that raised it; None if no frame of its traceback is an author's."""
    frames = [each for each in traceback.walk_tb(error.__traceback__) if not _core(each[0])]
    blamed: Any = next((each for frame, _ in reversed(frames) if (each := _part_of(frame)) is not None), part)
    if blamed is None:
        return None
    kind = blamed if isinstance(blamed, type) else type(blamed)
    authored = [(frame, line) for frame, line in frames if _written_with(frame, kind)]
    if authored:
        methods = [frame.f_code.co_name for frame, _ in authored if _part_of(frame) is blamed]
        method = methods[0] if methods else authored[0][0].f_code.co_name
        said, file, line = f"`{method}`", authored[-1][0].f_code.co_filename, authored[-1][1]
    else:
        # Layers of torch alone were running: what matters is who put them together.
        build = _builder(kind) if any(_module(frame) for frame, _ in frames) else None
        if build is None:
            return None
        said, file, line = f"the network that `{build.co_name}`", build.co_filename, build.co_firstlineno
    given = name if part is None or blamed is part else ""
    called = getattr(blamed, "_name", "") if blamed is not kind else ""
    text = " ".join(str(error).split())
    text = f"{text[:LONGEST]}..." if len(text) > LONGEST else text
    makes = "" if authored else " makes"
    return PartError(
        f"{said} of {called or given or kind.__name__}{makes} raised {type(error).__name__}"
        f"{f': {text}' if text else ''} ({file}:{line})",
        advice="mend the part at this line; `run --verbose` shows the traceback",
        trace="".join(traceback.format_exception(error)),
    )


def _module(frame: FrameType) -> bool:
    """Whether a frame runs a module of a network."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(frame.f_locals.get("self"), torch.nn.Module)


def _builder(kind: type[Component]) -> CodeType | None:
    """The `build` that an author wrote for a kind of part, if one did."""
    for each in kind.__mro__:
        build = each.__dict__.get("build")
        if build is not None and each.__module__.partition(".")[0] != "thalweg":
            return getattr(build, "__code__", None)
    return None


def error_text(error: BaseException) -> str:
    """An exception in words, with the author's line after its first one, once."""
    first, *more = str(error).split("\n")
    if isinstance(error, PartError):
        return str(error)
    return "\n".join([f"{type(error).__name__}{f': {first}' if first else ''}{where(error)}", *more])


def where(error: BaseException) -> str:
    """` (FILE:LINE)` of the last line that is not of thalweg's core; empty if there is none."""
    frames = [frame for frame in traceback.walk_tb(error.__traceback__) if not _core(frame[0])]
    here = [(frame.f_code.co_filename, line) for frame, line in frames if not _installed(frame)]
    if not frames:
        return ""
    file, line = (here or [(frame.f_code.co_filename, line) for frame, line in frames])[-1]
    return f" ({file}:{line})"


def _part_of(frame: FrameType) -> Component | type[Component] | None:
    """The part, or its class, whose method a frame runs."""
    owner = frame.f_locals.get("self", frame.f_locals.get("cls"))
    part = isinstance(owner, Component) or (isinstance(owner, type) and issubclass(owner, Component))
    return owner if part else None


def _of_a_store(error: BaseException) -> bool:
    """Whether zarr found that a chunk does not match its checksum."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    package = str(frames[-1].f_globals.get("__name__", "")).partition(".")[0] if frames else ""
    return isinstance(error, ValueError) and "checksum" in str(error) and package in ("zarr", "numcodecs")


def _core(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "thalweg"


def _installed(frame: FrameType) -> bool:
    """Whether a frame is of the standard library or an installed package, as far as its place tells."""
    file = frame.f_code.co_filename
    return "site-packages" in file or file.startswith(("<", str(Path(traceback.__file__).parent)))


def _written_with(frame: FrameType, kind: type[Component]) -> bool:
    """Whether a frame is of the package, or of the module, that defines a kind of part."""
    for each in kind.__mro__:
        if issubclass(each, Component) and each.__module__.partition(".")[0] != "thalweg":
            top = sys.modules.get(each.__module__.partition(".")[0])
            folders = [str(Path(folder)) + "/" for folder in getattr(top, "__path__", ())]
            file = frame.f_code.co_filename
            own = getattr(sys.modules.get(each.__module__), "__file__", None)
            if file == own or file.startswith(tuple(folders)):
                return True
    return False
