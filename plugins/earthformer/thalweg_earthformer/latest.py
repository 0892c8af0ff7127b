"""What follows from shapes alone, kept where it is used."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

R = TypeVar("R")


class Latest(Generic[R]):
    """What a function gave for the latest arguments.

    `torch.compile` traces a function that is cached; of this it reads the value, if it was called with the same
    arguments before the network was compiled.
    """

    def __init__(self, function: Callable[..., R]) -> None:
        self._function = function
        self._found: tuple[tuple[Hashable, ...], R] | None = None

    def __call__(self, *arguments: Hashable) -> R:
        if self._found is None or any(
            one is not other and one != other for one, other in zip(self._found[0], arguments, strict=True)
        ):
            self._found = arguments, self._function(*arguments)
        return self._found[1]
