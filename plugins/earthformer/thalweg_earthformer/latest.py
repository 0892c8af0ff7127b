"""What follows from shapes alone, kept where it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from .shapes import Triple

R = TypeVar("R")


class Latest(Generic[R]):
    """What a function gave for the latest shapes.

    `torch.compile` traces a function that is cached; of this it reads the value, if it was called with these shapes
    before the network was compiled.
    """

    def __init__(self, function: Callable[..., R]) -> None:
        self._function = function
        self._found: tuple[tuple[Triple, ...], R] | None = None

    def __call__(self, *shapes: Triple) -> R:
        if self._found is None or self._found[0] != shapes:
            self._found = shapes, self._function(*shapes)
        return self._found[1]
