"""Tables of numbers over seeds, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean, stdev
from typing import SupportsFloat

from thalweg.components import Component


def cell(values: Iterable[SupportsFloat]) -> str:
    """Mean (standard error), to the digits that the error leaves; a dash for nothing."""
    found = [float(each) for each in values]
    if not found:
        return "–"
    middle = mean(found)
    if len(found) == 1:
        return f"{middle:.3g}"
    return f"{middle:.3g} ({stdev(found) / len(found) ** 0.5:.1g})"


def title(part: Component) -> str:
    """Its name, and those of the parts inside it: `moving of from-last of unet`."""
    inside = [getattr(part, name) for name in type(part).model_fields]
    return " of ".join([part.name, *(title(each) for each in inside if isinstance(each, Component))])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
