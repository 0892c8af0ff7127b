"""The curves of a training: a table of numbers by epoch, kept with what was learned, and a figure of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..stores.committed import Committed
from ..stores.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = "curves.csv"

Curves = Mapping[int, Mapping[str, float]]
"""Numbers by epoch, from 0."""


def table(curves: Curves) -> bytes:
    """CSV: a row for each epoch (from 1), a column for each number, empty where an epoch has none."""
    names = list(dict.fromkeys(name for numbers in curves.values() for name in numbers))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *names])
    for epoch, numbers in sorted(curves.items()):
        writer.writerow([epoch + 1, *(repr(float(numbers[name])) if name in numbers else "" for name in names)])
    return text.getvalue().encode()


def read_table(content: bytes) -> dict[int, dict[str, float]]:
    """The inverse of `table`."""
    rows = csv.DictReader(io.StringIO(content.decode()))
    return {int(row.pop("epoch")) - 1: {name: float(each) for name, each in row.items() if each} for row in rows}


def figure_of(curves: Curves) -> Figure | None:
    """Losses and scores by epoch, training and validation in one panel; None where there are none."""
    from matplotlib.figure import Figure

    lines: dict[str, dict[str, dict[int, float]]] = {}
    for epoch, numbers in sorted(curves.items()):
        for name, value in numbers.items():
            panel, _, side = name.rpartition("/")
            if side in ("train", "validate"):
                lines.setdefault(panel, {}).setdefault(side, {})[epoch + 1] = value
    if not lines:
        return None
    figure = Figure(figsize=(4.2 * len(lines), 3.0), layout="constrained")
    for number, (panel, sides) in enumerate(lines.items(), 1):
        axis = figure.add_subplot(1, len(lines), number)
        for side, line in sides.items():
            axis.plot(list(line), list(line.values()), label=side, marker=".", linestyle="-" if len(line) > 1 else "")
        axis.set(title=panel, xlabel="epoch")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    return figure


def show(committed: Committed, folder: str, *, variant: str) -> dict[str, str]:
    """Put the curves of a committed training into a run's folder; gives the files, by name."""
    if f"data/{CURVES}" not in committed.files():
        return {}
    content = committed.content(f"data/{CURVES}")
    end = "" if variant == "free" else f"-{variant}"
    files = {f"curves{end}.csv": content}
    figure = figure_of(read_table(content))
    if figure is not None:
        image = io.BytesIO()
        figure.savefig(image, dpi=120, format="png")
        files[f"figures/learning{end}.png"] = image.getvalue()
    for name, each in files.items():
        write_bytes(str(Path(folder) / name), each, sync=False)
    return {name: str(Path(folder) / name) for name in files}
