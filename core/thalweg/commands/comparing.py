"""What `compare` prints: scores on shared points, what differs between runs, paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from ..components import Parts
from ..results.comparing import Comparison, compared
from ..results.differences import Difference
from ..results.report import cell, counted, table, without_value
from ..results.run import Stage
from ..results.shared import Missing
from ..results.sides import Side, sides_of
from .console import console, differing, scores

LONGEST = 20
"""Lines of what differs between two recipes."""


def comparison(
    accounts: Mapping[str, Mapping[str, Any]], registry: Parts, *, intervals: bool, missing: Missing = "drop"
) -> Comparison:
    """The columns of runs, by title, scored on shared points."""
    sides = [
        side for title, each in accounts.items() for side in sides_of(title, each["records"], each.get("stores", {}))
    ]
    return compared(sides, registry=registry, intervals=intervals, missing=missing)


def costs(stages: Mapping[str, Stage], title: str) -> str:
    """What the training and each estimate of a run took, in a line; as measured when they were made."""
    found: dict[str, list[str]] = {}
    for stage in stages.values():
        for key, value in stage.numbers.items():
            variant, of_cost, what = key.rpartition("cost/seconds/")
            if of_cost and what in ("train", "estimate"):
                found.setdefault(what, []).append(f"{variant.rstrip('/')} {value:.2g} s".strip())
    parts = [f"{what} {', '.join(each)}" for what, each in found.items()]
    return f"{f'{title}: ' if title else ''}{'; '.join(parts)}"


def show(result: Comparison) -> None:
    """Print the scores, and on what they are scored."""
    by_title: dict[str, list[Side]] = {}
    for side in result.sides:
        by_title.setdefault(side.title, []).append(side)
    console.print(
        scores({title: table(each for side in sides for each in side.records) for title, sides in by_title.items()})
    )
    for line in _notes(result):
        console.print(line, soft_wrap=True)


def _notes(result: Comparison) -> Iterator[str]:
    sizes = {each.samples for side in result.sides for each in side.records}
    if sizes and max(sizes) > result.samples:
        yield f"scored on the {result.samples:,} test samples that all have, of {counted(sizes)}"
    if result.read_again and result.missing == "reference":
        yield (
            f"where a column does not answer, the first column's value was scored: in {result.read_again:,} of "
            f"{result.samples:,} samples; `coverage` is what each answered by itself"
        )
    elif result.read_again:
        yield (
            f"scored on the points that all answered: of {result.read_again:,} of {result.samples:,} samples they were "
            "not the same; `coverage` is what each answered by itself"
        )
    yield from without_value(each for side in result.sides for each in side.records)
    for (label, _), why in result.own_points.items():
        yield f"{label}: not on shared points, each on its own ({why})"


def show_differences(result: Comparison) -> None:
    """Print the paired differences from the first column."""
    if not result.differences:
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    first = result.sides[0]
    shown.add_column("")
    for i in result.differences:
        shown.add_column(f"{result.sides[i].title}\n{result.sides[i].variant}", justify="right")
    shown.add_column("\nblocks", justify="right", style="dim")
    rows: dict[tuple[str, str, str], dict[int, Difference]] = {}
    for i, of in result.differences.items():
        for (label, options), entries in of.items():
            for each in entries:
                rows.setdefault((label, options, each.row), {})[i] = each
    labels = {(label, options) for label, options, _ in rows}
    for (label, options, entry), cells in rows.items():
        alike = [other for name, other in labels if name == label]
        title = "/".join(filter(None, [label, entry]))
        title = title if len(alike) == 1 else f"{title} {differing(options, alike)}"
        fewest = min(cells.values(), key=lambda each: each.blocks)
        blocks = f"{fewest.blocks:.0f} of {fewest.block}{' (few)' if fewest.few else ''}"
        shown.add_row(title, *(_difference(cells.get(i)) for i in result.differences), blocks)
    console.print(f"\ndifference from {first.title} {first.variant}", soft_wrap=True)
    console.print(shown)
    console.print(
        "a column minus the first one, on the same samples, with the half width of its 95 % interval: blocks of so "
        "many samples in a row, drawn anew; Student's t with the number of blocks",
        soft_wrap=True,
    )


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return ""
    sign = "" if difference.value < 0 else "+"
    return f"{sign}{cell(difference.value)} ± {cell(difference.half)}"


def show_what_differs(accounts: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the options that are not the same in all recipes, one a line."""
    leaves = [dict(_leaves(each.get("recipe", {}))) for each in accounts.values()]
    if len(leaves) < 2:
        return
    lines = []
    for key in dict.fromkeys(key for each in leaves for key in each):
        values = [each.get(key) for each in leaves]
        if key.split(".")[0] not in ("name", "store", "cluster") and any(each != values[0] for each in values):
            lines.append(f"  {key}: {' | '.join('-' if each is None else str(each)[:60] for each in values)}")
    if lines:
        console.print("\nwhat differs (" + " | ".join(accounts) + ")", soft_wrap=True)
        for line in [*lines[:LONGEST], *([f"  ... ({len(lines)} in all)"] if len(lines) > LONGEST else [])]:
            console.print(line, soft_wrap=True)


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list | tuple) and any(isinstance(each, Mapping) for each in tree):
        for i, value in enumerate(tree):
            yield from _leaves(value, f"{path}[{i}]")
    else:
        yield path, tree


def titles(names: Sequence[str], options: Sequence[str], digests: Sequence[str]) -> list[str]:
    """A name for each column: two of one name are told apart by their options, or by their digests."""
    found = []
    for name, own, digest in zip(names, options, digests, strict=True):
        alike = [other for each, other in zip(names, options, strict=True) if each == name]
        if len(alike) == 1:
            found.append(name)
        elif alike.count(own) == 1:
            found.append(f"{name} {differing(own, alike)}")
        else:
            found.append(f"{name}/{digest[:10]}")
    return found
