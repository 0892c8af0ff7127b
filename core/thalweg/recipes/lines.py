"""Long lines of a plan, cut where one item ends."""

from __future__ import annotations

WIDTH = 160
"""Columns of a line that is read on one screen."""


def cut(text: str, *, indent: int, width: int = WIDTH) -> list[str]:
    """`text`, whose items end in `; `, as lines of at most `width` columns, each indented; an item is never cut."""
    lines: list[str] = []
    for item in text.split("; "):
        if lines and len(lines[-1]) + len(item) + 3 <= width:
            lines[-1] += f"; {item}"
        else:
            if lines:
                lines[-1] += ";"
            lines.append(" " * indent + item)
    return lines


def beside(before: str, text: str, *, indent: int, width: int = WIDTH) -> list[str]:
    """`before` and `text` in one line if they fit, else `text` below, indented."""
    whole = f"{before}{text}".rstrip()
    return [whole] if len(whole) <= width else [before.rstrip(), *cut(text, indent=indent, width=width)]
