"""What the command line prints: tables, descriptions of parts, progress."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from ..components import Component
from ..credentials import mask_logs
from ..recipes.registry import Registry, described
from ..results.report import cell

# Paths and names are printed as they are: `[x]` is no markup, `:x:` no symbol.
console = Console(
    highlight=False, markup=False, emoji=False, soft_wrap=False, width=None if sys.stdout.isatty() else 160
)


def scores(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """The scores of several runs side by side; `held` only where a law was held."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    columns: list[tuple[str, str]] = []
    for run, rows in tables.items():
        for version in ("free", "held"):
            if any(row[version] is not None for row in rows):
                columns.append((run, version))
                # A run's name stands over its first column only.
                title = run if not any(each == run for each, _ in columns[:-1]) else ""
                table.add_column(f"{title}\n{version}", justify="right")
    values = {
        (run, version, row["metric"]): row[version]
        for run, rows in tables.items()
        for row in rows
        for version in ("free", "held")
    }
    metrics = dict.fromkeys(row["metric"] for rows in tables.values() for row in rows)
    for metric in metrics:
        table.add_row(metric, *(cell(values.get((run, version, metric))) for run, version in columns))
    return table


def parts(registry: Registry, kind: str) -> Table:
    """The parts of a kind that are installed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (kind, "plugin", ""):
        table.add_column(column)
    for name, part in registry.parts(kind).items():
        table.add_row(name, registry.plugin_of(kind, name), described(part))
    return table


def part(registry: Registry, kind: str, name: str) -> str:
    """One part: what it does, its options, an example, its sources."""
    import inspect

    found = registry.get(kind, name)
    lines = [f"{name}  ({registry.plugin_of(kind, name)})", "", inspect.getdoc(found) or "", ""]
    options = found.model_json_schema()
    required = set(options.get("required", ()))
    for option, field in found.model_fields.items():
        kindly = str(field.annotation).replace("typing.", "").removeprefix("<class '").removesuffix("'>")
        default = "required" if option in required else f"default {field.default!r}"
        lines.append(f"  {option}: {kindly}, {default}{f'  {field.description}' if field.description else ''}")
    lines += ["", "  " + yaml.safe_dump({name: example(found)}, default_flow_style=True).strip()]
    if found.cite:
        lines += ["", *(f"  https://doi.org/{doi}" for doi in found.cite.split())]
    return "\n".join(lines)


def example(found: type[Component]) -> dict[str, Any]:
    """Options to try a part with."""
    given: Mapping[str, Any] = getattr(found, "example", {})
    return dict(given)


class Progress:
    """One line per stage: a live one on a terminal, log lines elsewhere."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Bars(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


def log_to_console(*, verbose: bool) -> None:
    """Send thalweg's log to standard error, a line each."""
    mask_logs()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("thalweg").setLevel(logging.DEBUG if verbose else logging.INFO)
