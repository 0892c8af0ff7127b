"""Every error that thalweg raises on purpose.

    ThalwegError
    ├── RecipeError (ValueError)            the recipe is wrong; nothing was started
    │   ├── UnknownNameError (LookupError)  no such part is installed
    │   ├── OptionError                     a misspelled option, or a value of the wrong type
    │   ├── HandshakeError                  two stages do not fit
    │   │   └── ContractError (PluginError)     a part is not what it says of itself
    │   ├── SourceError                     a source is missing, or not what it should be
    │   └── TooLargeError (MemoryError)     the plan would exceed the workers' memory
    ├── PluginError                         a plugin does not keep the contract
    │   └── NameTakenError                  two plugins register one name
    └── RunError (RuntimeError)             a run that had started failed
        ├── StoreError (OSError)            a store cannot be written or read
        │   ├── CorruptError                what is stored is not what was written
        │   └── SupersededError             another run took over the stage of one that was paused
        ├── ClusterError                    workers could not be started, or were lost
        ├── EstimateError                   a method or an enforcer returned what it must not
        └── PartError                       a plugin's part raised what it did not mean for a user
            └── PlannedPartError (RecipeError)  the same, while a plan was made

Each says what was given, what is allowed, and what to do; credentials in it are masked. `Terminated` is no error: it
ends a run as an interrupt does.
"""

from __future__ import annotations

from typing import Self

from .credentials import masked

__all__ = [
    "ClusterError",
    "ContractError",
    "CorruptError",
    "EstimateError",
    "HandshakeError",
    "NameTakenError",
    "OptionError",
    "PartError",
    "PlannedPartError",
    "PluginError",
    "RecipeError",
    "RunError",
    "SourceError",
    "StoreError",
    "SupersededError",
    "Terminated",
    "ThalwegError",
    "TooLargeError",
    "UnknownNameError",
]


class ThalwegError(Exception):
    """Base of all: `given` is the finding, `allowed` what would do, `advice` the next step.

    `where` is the place in the recipe (`evaluate[0].csi`), `file` the recipe's name; who knows adds them with `at`.
    """

    def __init__(self, given: str, *, allowed: str = "", advice: str = "", where: str = "", file: str = "") -> None:
        # A library's own words may hold a URL with its password.
        given, allowed, advice, where = (masked(str(each)) for each in (given, allowed, advice, where))
        super().__init__(given)
        self.given, self.allowed, self.advice, self.where, self.file = given, allowed, advice, where, file

    def at(self, where: str, *, file: str = "") -> Self:
        """This error with its place, kept where it is already known."""
        self.where = self.where or where
        self.file = self.file or file
        return self

    def __str__(self) -> str:
        place = "".join(f"{part}: " for part in (self.file, self.where) if part)
        lines = [place + self.given]
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.advice:
            lines.append(f"  do: {self.advice}")
        return masked("\n".join(lines))

    # Exceptions with keyword-only arguments do not pickle by themselves, and these travel back from workers.
    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.given, self.allowed, self.advice, self.where, self.file)


def _restore(kind: type[ThalwegError], given: str, allowed: str, advice: str, where: str, file: str) -> ThalwegError:
    return kind(given, allowed=allowed, advice=advice, where=where, file=file)


class RecipeError(ThalwegError, ValueError):
    """The recipe is wrong; nothing was started (exit code 2)."""


class UnknownNameError(RecipeError, LookupError):
    """No installed plugin registers a part of this name."""


class OptionError(RecipeError):
    """An option is misspelled, missing, or has a value of the wrong type."""


class HandshakeError(RecipeError):
    """What one stage gives is not what the next needs."""


class SourceError(RecipeError):
    """A source is missing, unreadable, or does not hold what was declared."""


class TooLargeError(RecipeError, MemoryError):
    """The plan would need more memory than a worker has."""


class PluginError(ThalwegError):
    """A plugin does not keep the contract."""


class ContractError(HandshakeError, PluginError):
    """A part is not what it says of itself, whatever it is given: the plan refuses it, and the kit finds it."""


class NameTakenError(PluginError):
    """Two plugins register one name."""


class RunError(ThalwegError, RuntimeError):
    """A run that had started failed (exit code 1); what was committed before is intact."""


class StoreError(RunError, OSError):
    """A store cannot be written or read."""


class CorruptError(StoreError):
    """What is stored is not what was written."""


class CompareError(RunError):
    """Runs that do not compare: they were scored on different data."""


class SupersededError(StoreError):
    """Another run took over a stage from this one, which had been paused past its lease."""


class ClusterError(RunError):
    """Workers could not be started, or were lost."""


class EstimateError(RunError):
    """A method or an enforcer returned what it must not."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: what an interrupt from the keyboard does, with another exit code (143)."""


class PartError(RunError):
    """A part of a plugin raised: names the part, its method, file and line. `trace` is the traceback."""

    def __init__(
        self, given: str, *, allowed: str = "", advice: str = "", where: str = "", file: str = "", trace: str = ""
    ) -> None:
        super().__init__(given, allowed=allowed, advice=advice, where=where, file=file)
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"trace": self.trace})


class PlannedPartError(PartError, RecipeError):
    """A part of a plugin raised while a plan was made; nothing was started (exit code 2)."""

    @classmethod
    def of(cls, error: PartError) -> Self:
        """The same, as one of the recipe."""
        return cls(
            error.given,
            allowed=error.allowed,
            advice=error.advice,
            where=error.where,
            file=error.file,
            trace=error.trace,
        )
