"""How a command ends: one line and an exit code for whatever a user, a file or a server can cause.

    0    done
    1    the run failed, or a check did
    2    the recipe is wrong, and nothing was started
    130  interrupted (SIGINT); 143: terminated (SIGTERM); the same `run` goes on

A traceback is for our own faults; its credentials are masked too.
"""

from __future__ import annotations

import logging
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from ..boundaries.reasons import is_foreign, line, reason
from ..credentials import masked
from ..errors import RecipeError, Terminated, ThalwegError

GOES_ON = "the same command goes on from the last committed stage"


class Ending(TyperGroup):
    """A group of commands that end in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with answering_sigterm():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            word, code = ("terminated", 143) if isinstance(error, Terminated) else ("interrupted", 130)
            # What was cut short is told by asyncio when it is freed, after our line.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
            _end(f"{word}: {GOES_ON}" if ctx.invoked_subcommand == "run" else word, code)
        except ThalwegError as error:
            _end(f"{type(error).__name__}: {error}", 2 if isinstance(error, RecipeError) else 1)
        except MemoryError as error:
            _end(f"{line(error)}: this machine has not enough memory", 1)
        except Exception as error:
            # `exit_code`: typer's own way out. A pipe that nobody reads any more is typer's to end quietly.
            if hasattr(error, "exit_code") or isinstance(error, BrokenPipeError):
                raise
            if is_foreign(error):
                why, allowed, advice = reason(error)
                _end(f"{type(error).__name__}: {ThalwegError(_named(error, why), allowed=allowed, advice=advice)}", 1)
            _end(traceback.format_exc().rstrip(), 1)


@contextmanager
def answering_sigterm() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` here, in the main thread, so that what is open is closed as after an interrupt."""

    def terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        # A second one must not cut short what the first began.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread: signals are another's
        yield
        return
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is terminate:
            signal.signal(signal.SIGTERM, before)


def _named(error: BaseException, why: str) -> str:
    """What went wrong, with the file that it went wrong with."""
    name = getattr(error, "filename", None)
    return f"{name}: {why}" if isinstance(name, str) and name not in why else why


def _end(text: str, code: int) -> None:
    typer.echo(masked(text), err=True)
    raise typer.Exit(code)
