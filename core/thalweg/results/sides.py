"""The columns of a comparison: variants of runs, with what `evaluate` kept of each and the stages that it read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CompareError
from ..samples import Prepared
from ..stores.arrays import reading
from .estimates import estimate_at
from .records import Record
from .sums import Sums

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]
Row = tuple[str, str]
"""A label of a metric or a law, and its options."""


@dataclass(frozen=True)
class Side:
    """A column of a comparison: a variant of a run, its records, and the stages that it can be scored from."""

    title: str
    variant: str
    records: tuple[Record, ...]
    stores: Mapping[str, Any]
    labels: Mapping[Row, str] = field(default_factory=dict)
    """Of rows that are called otherwise here, the label in the run."""

    @cached_property
    def sums(self) -> Sums:
        return Sums(str(self.stores["sums"]))

    @property
    def rows(self) -> dict[Row, Record]:
        """The first record of each metric."""
        found: dict[Row, Record] = {}
        for each in self.records:
            if each.lead is None:
                found.setdefault((each.metric, each.options), each)
        return found

    def estimate(self, at: Array) -> xr.Dataset:
        """The estimates of some samples, in memory."""
        return estimate_at(str(self.stores["estimates"][self.variant]), [int(each) for each in at])

    def truth(self, at: Array) -> xr.Dataset:
        """The truth of some samples, in memory."""
        prepared = Prepared(*(str(self.stores[name]) for name in ("ingest", "preprocess", "index")))
        with reading(prepared.preprocess, prepared.ingest, prepared.index):
            return prepared.samples("test").truth([int(each) for each in at])


def sides_of(title: str, records: Sequence[Record], stores: Mapping[str, Any]) -> Iterator[Side]:
    """The columns of a run: its variants, in their order. Raises `CompareError` for a run that was not scored."""
    if not records:
        raise CompareError(
            f"{title} was not scored",
            allowed="runs with a test period and metrics",
            advice="add `test` to `split` and metrics to `evaluate`, and run again; or leave it out",
        )
    for variant in dict.fromkeys(each.variant for each in records):
        yield Side(title, variant, tuple(each for each in records if each.variant == variant), stores)


def alike(sides: Sequence[Side]) -> list[Side]:
    """Columns in which one metric with one set of options has one label: that of the first column that has it.

    A recipe's labels tell apart what it holds: another recipe may call the same metric otherwise.
    """
    names: dict[str, str] = {}
    found = []
    for side in sides:
        counts = Counter(options for _, options in side.rows)
        labels: dict[Row, str] = {}
        for label, options in side.rows:
            if options and counts[options] == 1 and names.setdefault(options, label) != label:
                labels[names[options], options] = label
        records = [
            replace(each, metric=names[each.options]) if (names.get(each.options), each.options) in labels else each
            for each in side.records
        ]
        found.append(replace(side, records=tuple(records), labels=labels) if labels else side)
    return found
