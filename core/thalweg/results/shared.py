"""Scores of several estimates on the points that all of them answered.

What was kept of a sample is used as it is where all answered the same points of it; other samples are read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..components import Metric, Parts, WholeMetric
from ..components.calls import call
from ..components.totals import Totals
from ..errors import CompareError, ThalwegError
from ..samples.elements import by_sample, has_samples, owners
from .answered import answered
from .records import Coverage
from .scored import VIOLATION
from .scoring import Score, Tally, concatenate, finish, score, tally
from .sides import Row, Side

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]
Missing = Literal["drop", "reference"]
"""What stands for a point that a column did not answer: nothing, or what the first column says there."""


class Violation(Metric):
    """What is left of a law, as a measure of the sums that `evaluate` kept: the mean over its rows."""

    higher_is_better = False

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray | Totals]:  # noqa: ARG002
        return {}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["mean"]


@dataclass
class Rescored:
    """A row of a comparison: its metric, and of each column that has it the totals by sample or the score."""

    metric: Metric | WholeMetric
    columns: tuple[int, ...]
    totals: dict[int, dict[str, Totals]] = field(default_factory=dict)
    """By column, along `sample`; of all columns, or of none."""
    scores: dict[int, Score] = field(default_factory=dict)
    """By column, where there are no totals by sample and the samples or points changed."""

    def score(self, column: int) -> Score:
        """The score of a column on shared points."""
        if column in self.scores or not isinstance(self.metric, Metric):
            return self.scores[column]
        return call(self.metric, finish, self.metric, self.totals[column])


@dataclass(frozen=True)
class Shared:
    """Columns, of each the numbers of the samples that all have, and the parts that metrics are made with."""

    sides: tuple[Side, ...]
    at: list[Array]
    registry: Parts
    missing: Missing = "drop"

    @cached_property
    def keys(self) -> xr.Dataset:
        """The coordinates of the samples."""
        keys = self.sides[0].sums.keys
        return keys.isel(sample=self.at[0]) if "sample" in keys.dims else keys

    @cached_property
    def unequal(self) -> Array:
        """Of which samples not all columns answered the same points."""
        unlike = np.zeros(len(self.at[0]), bool)
        first, *others = (
            {name: parts["which"].values[numbers] for name, parts in side.sums.answered(side.variant).items()}
            for side, numbers in zip(self.sides, self.at, strict=True)
        )
        for other in others:
            for name, which in first.items():
                unlike |= (which != other[name]).reshape(len(unlike), -1).any(1)
        return unlike

    @cached_property
    def cut(self) -> bool:
        """Whether some column has samples that others lack."""
        return any(len(each) < side.sums.data.sizes["sample"] for each, side in zip(self.at, self.sides, strict=True))

    @property
    def changed(self) -> bool:
        """Whether some column is scored on less than what it answered."""
        return self.cut or bool(self.unequal.any())

    def rows(self) -> tuple[dict[Row, Rescored], dict[Row, str]]:
        """The rows, and those that stay on each column's own points, with the reason."""
        made: dict[Row, Rescored] = {}
        own: dict[Row, str] = {}
        for row in dict.fromkeys(row for side in self.sides for row in side.rows if row[1]):
            having = [i for i, side in enumerate(self.sides) if row in side.rows]
            try:
                made[row] = self._kept(row, having)
            except ThalwegError as error:
                own[row] = error.given
        violations = {row for row in made if row[0].startswith(VIOLATION)}
        again = {row: each for row, each in made.items() if row not in violations}
        added_up = [each for each in again.values() if each.totals]
        for chunk, pairs in self._joint(np.flatnonzero(self.unequal)) if added_up else ():
            for each in added_up:
                for i, totals in each.totals.items():
                    for name, part in call(each.metric, tally, each.metric, *pairs[i]).items():
                        _put(totals[name], part, chunk)
        if self.changed:
            self._whole([each for each in again.values() if not each.totals])
        return made, own

    def _kept(self, row: Row, having: Sequence[int]) -> Rescored:
        """The metric of a row, with the totals by sample that were kept. Raises `ThalwegError` if it is not there."""
        label, options = row
        metric: Any = Violation() if label.startswith(VIOLATION) else self.registry.make("metrics", json.loads(options))
        made = Rescored(metric, tuple(having))
        for i in having if isinstance(metric, Metric) else ():
            side = self.sides[i]
            kept = side.sums.tallies(side.variant).get(side.labels.get(row, label))
            if kept is not None:
                made.totals[i] = {
                    name: Totals(each.sum.isel(sample=self.at[i]), each.count.isel(sample=self.at[i]))
                    for name, each in kept.items()
                }
        if len(made.totals) < len(having):
            if isinstance(metric, Violation):
                raise CompareError("the law's residual has no samples")
            made.totals.clear()
        return made

    def _whole(self, rows: Sequence[Rescored]) -> None:
        """Score what has no sums by sample, on all shared samples."""
        whole = [each for each in rows if isinstance(each.metric, WholeMetric)]
        adding = [each for each in rows if isinstance(each.metric, Metric)]
        every = np.arange(len(self.at[0]))
        parts: dict[tuple[int, int], list[Tally]] = {}
        for _, pairs in self._joint(every) if adding else ():
            for k, each in enumerate(adding):
                for i in each.columns:
                    parts.setdefault((k, i), []).append(call(each.metric, tally, each.metric, *pairs[i]))
        for (k, i), tallies in parts.items():
            metric: Any = adding[k].metric
            adding[k].scores[i] = call(metric, finish, metric, concatenate(tallies))
        if whole:
            ((_, pairs),) = self._joint(every, size=len(every))
            for each in whole:
                for i in each.columns:
                    each.scores[i] = call(each.metric, score, each.metric, *pairs[i])

    def coverage(self, names: Sequence[str]) -> Coverage:
        """How many points of these fields all columns answered."""
        counted = self._counted
        return Coverage.of([counted[name] for name in names if name in counted])

    @cached_property
    def _counted(self) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
        """Of each field the points with a truth and those that all answered, `(sample, [lead])`."""
        kept = self.sides[0].sums.answered(self.sides[0].variant)
        made = {
            name: (parts["points"].isel(sample=self.at[0]), parts["answered"].isel(sample=self.at[0]).copy(deep=True))
            for name, parts in kept.items()
        }
        for chunk, pairs in self._joint(np.flatnonzero(self.unequal)):
            for name, (_, count) in made.items():
                array = pairs[0][1][name]
                of = owners(pairs[0][1])
                there = array.notnull().sum([dim for dim in array.dims if dim not in ("sample", "lead", *of)])
                there = by_sample(there, of, count=len(chunk))
                count.values[chunk] = there.transpose(*count.dims).values
        return made

    def _joint(
        self, numbers: Array, size: int | None = None
    ) -> Iterator[tuple[Array, list[tuple[xr.Dataset, xr.Dataset]]]]:
        """In chunks of samples: estimate and truth of each column, with the truth only where all answered."""
        size = size or min(int(side.stores["batch"]) for side in self.sides)
        for start in range(0, len(numbers), size):
            chunk = numbers[start : start + size]
            yield chunk, self._masked(chunk)

    def _masked(self, chunk: Array) -> list[tuple[xr.Dataset, xr.Dataset]]:
        estimates = [side.estimate(at[chunk]) for side, at in zip(self.sides, self.at, strict=True)]
        truth = self.sides[0].truth(self.at[0][chunk])
        if self.missing == "reference":
            estimates = [estimates[0], *(filled(each, estimates[0], truth) for each in estimates[1:])]
        masked, of = {}, owners(truth)
        for name, array in truth.data_vars.items():
            if has_samples(array, of):
                there = answered(estimates[0], array)
                for each in estimates[1:]:
                    there = there & answered(each, array)
                masked[name] = array if there.all() else array.where(there.variable)
        shared = truth.assign(masked)
        coords = {name: each for name, each in shared.coords.items() if "sample" in each.dims}
        return [(each.assign_coords(coords), shared) for each in estimates]


def filled(estimate: xr.Dataset, reference: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """`estimate`, with the values of `reference` at the points that it does not answer.

    Members all take the reference's value (its mean, where it has members), and an uncertainty that the reference does
    not give is zero there.
    """
    made = {}
    for name, array in truth.data_vars.items():
        there = answered(estimate, array)
        if not has_samples(array, owners(truth)) or bool(there.all()):
            continue
        for key in (str(name), f"{name}_variance", f"{name}_factor"):
            if key in estimate:
                other = reference.variables.get(key)
                if other is not None and "member" in other.dims:
                    other = other.mean("member")
                if other is None or not set(other.dims) <= set(estimate[key].dims):
                    other = 0 * estimate[key].variable.fillna(0)
                made[key] = estimate[key].where(there.variable, other).transpose(*estimate[key].dims)
    return estimate.assign(made)


def _put(into: Totals, part: Totals, at: Array) -> None:
    for whole, some in ((into.sum, part.sum), (into.count, part.count)):
        own = some if "sample" in some.dims else some.expand_dims(sample=len(at))
        own = own.broadcast_like(whole.isel(sample=at)) if set(own.dims) != set(whole.dims) else own
        whole.values[at] = own.transpose(*whole.dims).values
