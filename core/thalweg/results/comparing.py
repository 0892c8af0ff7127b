"""Runs side by side, scored on the points that all of them answered, with paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..components import Metric, Parts
from ..errors import CompareError
from .differences import Difference, difference
from .matching import matched, refuse_other_truths
from .records import Coverage, Record, entries
from .scored import VIOLATION, left_of_law
from .scoring import Tally
from .shared import Missing, Rescored, Shared
from .sides import Row, Side, alike

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Comparison:
    """Columns scored on what all of them answered."""

    sides: tuple[Side, ...]
    samples: int
    """Test windows that all have."""
    read_again: int
    """Samples that were scored again, since not all had answered the same points of them."""
    own_points: Mapping[Row, str]
    """Metrics whose columns are each scored on their own points, and why."""
    differences: Mapping[int, Mapping[Row, tuple[Difference, ...]]]
    """By the number of a column, against the first."""
    missing: Missing = "drop"
    """What stands for a point that a column did not answer."""

    @property
    def table(self) -> pd.DataFrame:
        """The paired differences: a row for each score and column, with the half width of its 95 % interval.

        `difference` is the score of `run` and `variant` minus that of the first column, over all leads.
        """
        import pandas as pd

        rows = [
            {
                "metric": "/".join(filter(None, [label, each.row])),
                "options": options,
                "run": self.sides[i].title,
                "variant": self.sides[i].variant,
                "difference": each.value,
                "half_width": each.half,
                "blocks": each.blocks,
                "block": each.block,
            }
            for i, scores in self.differences.items()
            for (label, options), found in scores.items()
            for each in found
        ]
        names = ["metric", "options", "run", "variant", "difference", "half_width", "blocks", "block"]
        return pd.DataFrame(rows, columns=names)

    def __repr__(self) -> str:
        lines = [f"thalweg comparison on {self.samples} test samples"]
        for side in self.sides:
            lines.append(f"  {side.title} {side.variant}")
            lines += [
                f"    {each.row:<32} {each.value:.4g}{f' {each.units}' if each.units else ''}"
                for each in side.records
                if each.lead is None
            ]
        if self.differences:
            lines.append(f"differences from {self.sides[0].title} {self.sides[0].variant}: see `table`")
        return "\n".join(lines)


def compared(
    sides: Sequence[Side], *, registry: Parts, intervals: bool = True, missing: Missing = "drop"
) -> Comparison:
    """Columns on shared samples and points. Raises `CompareError` where they were scored on different truths."""
    if not sides:
        raise CompareError(
            "no run was scored", allowed="runs with a test period", advice="add `test` to `split`, and run again"
        )
    sides = alike(sides)
    at = matched(sides)
    refuse_other_truths(sides, at)
    shared = Shared(tuple(sides), at, registry, missing)
    if not shared.changed and not intervals:
        return Comparison(tuple(sides), len(at[0]), 0, {}, {}, missing)
    rows, own_points = shared.rows()
    differences: dict[int, dict[Row, tuple[Difference, ...]]] = {}
    records = {i: list(side.records) for i, side in enumerate(sides)}
    for row, each in rows.items():
        if row[0].startswith(VIOLATION):
            for i in each.columns if shared.cut else ():
                records[i] = _cut(records[i], row, each.totals[i])
        elif shared.changed:
            coverage = shared.coverage(_fields(each, sides[0]))
            for i in each.columns:
                records[i] = _renewed(records[i], row, each, column=i, coverage=coverage)
        if intervals and 0 in each.totals and isinstance(each.metric, Metric):
            for i in each.columns[1:]:
                pair = each.totals[0], each.totals[i]
                differences.setdefault(i, {})[row] = tuple(difference(each.metric, *pair, keys=shared.keys))
    after = tuple(replace(side, records=tuple(records[i])) for i, side in enumerate(sides))
    again = int(shared.unequal.sum())
    return Comparison(after, len(at[0]), again, own_points if shared.changed else {}, differences, missing)


def _fields(row: Rescored, side: Side) -> list[str]:
    """The fields that a metric scores."""
    known = list(side.sums.answered(side.variant))
    named = getattr(row.metric, "variable", "")
    return [named] if named in known else known


def _cut(records: Sequence[Record], row: Row, totals: Tally) -> list[Record]:
    """Records with what is left of a law in the samples that all columns have."""
    values, count, coverage = left_of_law(totals)
    return [
        replace(each, value=values[each.entry], count=count, coverage=coverage)
        if (each.metric, each.options) == row and each.entry in values
        else each
        for each in records
    ]


def _renewed(
    records: Sequence[Record], row: Row, rescored: Rescored, *, column: int, coverage: Coverage
) -> list[Record]:
    """Records with the values that a metric has on shared points. Their coverage stays: it is what is shown beside."""
    score = rescored.score(column)
    parts = {(): score} | {(("statistic", name),): each for name, each in score.beside.items()}
    values: dict[Any, tuple[float, float]] = {}
    for first, each in parts.items():
        counts = each.counts or (None, None)
        for entry, value, count in entries(each.overall, counts[1]):
            values[(*first, *entry), None] = float(value), coverage.answered if count is None else float(count)
        if "lead" in each.by_lead.dims:
            for entry, line, count in entries(each.by_lead, counts[0]):
                leads = line["lead"].values.tolist() if "lead" in line.coords else range(1, line.sizes["lead"] + 1)
                for i, lead in enumerate(leads):
                    known = coverage.points_by_lead.get(int(lead), float("nan")) if count is None else float(count[i])
                    values[(*first, *entry), int(lead)] = float(line[i]), known
    return [
        replace(each, value=values[each.entry, each.lead][0], count=values[each.entry, each.lead][1])
        if (each.metric, each.options) == row and (each.entry, each.lead) in values
        else each
        for each in records
    ]
