"""What the command line prints: tables, descriptions of parts, progress."""

from __future__ import annotations

import difflib
import inspect
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from ..boundaries.options import in_yaml, option_default, option_words
from ..cluster.switch import KINDS as CLUSTERS
from ..components import Component, Learner
from ..credentials import mask_logs
from ..errors import UnknownNameError
from ..recipes.registry import Registry, described
from ..results.report import cell, counted, covered
from ..results.report import columns as variants_in

# Paths and names are printed as they are: `[x]` is no markup, `:x:` no symbol.
console = Console(
    highlight=False, markup=False, emoji=False, soft_wrap=False, width=None if sys.stdout.isatty() else 160
)


def scores(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """The scores of several runs side by side, a column for each variant; units, how much was counted, and coverage.

    A row is one metric with one set of options. Below full coverage a score has its coverage beside it.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    columns: list[tuple[str, str]] = []
    for run, rows in tables.items():
        for version in variants_in(rows):
            if any(row.get(version) is not None for row in rows):
                columns.append((run, version))
                # A run's name stands over its first column only.
                title = run if not any(each == run for each, _ in columns[:-1]) else ""
                table.add_column(f"{title}\n{version}", justify="right")
    table.add_column("\nunits", style="dim")
    table.add_column("\ncount", justify="right", style="dim")
    table.add_column("\ncoverage", justify="right", style="dim")
    known = {(run, row["metric"], row["options"]): row for run, rows in tables.items() for row in rows}
    names = dict.fromkeys((row["metric"], row["options"]) for rows in tables.values() for row in rows)
    for metric, options in names:
        cells, counts, coverages = [], [], []
        units: dict[str, None] = {}
        for run, version in columns:
            row = known.get((run, metric, options))
            if row is None or row.get(version) is None:
                cells.append("")
                continue
            part = row["coverage"][version]
            cells.append(cell(row[version]) + (f" ({covered([part])})" if part < 1 else ""))
            counts.append(row["count"][version])
            units[row["units"]] = None
            coverages.append(part)
        alike = [other for other in names if other[0] == metric]
        title = metric if len(alike) == 1 else f"{metric} {differing(options, [each for _, each in alike])}"
        table.add_row(title, *cells, " | ".join(units), counted(counts), covered(coverages))
    return table


def differing(options: str, among: Sequence[str]) -> str:
    """The options of a metric that are not the same in all of `among`: `(pool: 4)`."""
    own, *others = [json.loads(each or "{}") for each in (options, *among)]
    none: dict[str, Any] = {}
    ours = next(iter(own.values()), none)
    theirs = [next(iter(each.values()), none) for each in others]
    shown = {key: value for key, value in ours.items() if any(each.get(key) != value for each in theirs)}
    return f"({', '.join(f'{key}: {json.dumps(value)}' for key, value in shown.items()) or next(iter(own), '')})"


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
    found = registry.get(kind, name)
    lines = [f"{name}  ({registry.plugin_of(kind, name)})", "", inspect.getdoc(found) or "", *options(found)]
    if issubclass(found, Learner) and found.train_options is not None:
        own = getattr(found, "defaults", {})
        # Of a wrapper of learners they are those of the learner inside.
        own = own if isinstance(own, Mapping) else {}
        lines += options(found.train_options, title="Options of `train:`", defaults=own)
    elif issubclass(found, Learner) and not isinstance(found.trains_on, frozenset):
        lines += ["", "Options of `train:`: those of the learners that it is made of"]
    given = yaml.safe_dump({name: example(found)}, default_flow_style=True, width=110).strip()
    lines += ["", "Example", *(f"  {line}" for line in given.splitlines())]
    if found.cite:
        lines += ["", "Sources", *(f"  https://doi.org/{doi}" for doi in found.cite.split())]
    return "\n".join(lines)


def clusters() -> Table:
    """The kinds of cluster."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("clusters", ""):
        table.add_column(column)
    for name, kind in CLUSTERS.items():
        table.add_row(name, (inspect.getdoc(kind) or "").split("\n", 1)[0])
    return table


def cluster(name: str) -> str:
    """One kind of cluster: what it is, its options, an example. Raises `UnknownNameError` for a name that is none."""
    if name not in CLUSTERS:
        near = difflib.get_close_matches(name, CLUSTERS, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "see `thalweg clusters`"
        raise UnknownNameError(f"no cluster is called {name!r}", allowed=", ".join(CLUSTERS), advice=advice)
    kind = CLUSTERS[name]
    text = [name, "", inspect.getdoc(kind) or "", *options(kind)]
    return "\n".join([*text, "", "Example", f"  cluster: {in_yaml({name: dict(kind.example)})}"])


def options(model: type[BaseModel], *, title: str = "Options", defaults: Mapping[str, Any] | None = None) -> list[str]:
    """The options of a model, two lines each: its name, what it may be and its default; what it is."""
    if not model.model_fields:
        return []
    words = option_words(model)
    lines = ["", title]
    own = defaults or {}
    for name, field in model.model_fields.items():
        default = f"default {in_yaml(own[name])}" if name in own else option_default(field)
        lines += [f"  {name}: {words[name]}; {default}", f"      {field.description or ''}".rstrip()]
    return lines


def example(component: type[Component]) -> dict[str, Any]:
    """Options to try a part with."""
    given: Mapping[str, Any] = getattr(component, "example", {})
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
