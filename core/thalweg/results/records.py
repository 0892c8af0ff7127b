"""The results of a run as records, one number each, and the long table that holds them (`scores.parquet`)."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import xarray as xr

    from .scoring import Score

Better = Literal["higher", "lower", ""]
Entry = tuple[tuple[str, str | float], ...]


@dataclass(frozen=True)
class Record:
    """One number of a run, and what it is a number of."""

    metric: str
    """The label in the recipe; `violation/LAW` for what is left of a law."""
    entry: Entry
    """Where the metric has dims of its own (thresholds, statistics): their names and values; `mean` over numbers."""
    variant: str
    lead: int | None
    """None: over all leads."""
    value: float
    count: float
    """How many points (or samples, as the metric counts) the value is of; where points are weighted, all of them."""
    coverage: float
    """The part of the points with a truth that the estimate answered; NaN where no truth is there."""
    units: str
    better: Better
    options: str
    """The metric and its options, defaults included, as JSON."""
    samples: int
    """Test windows."""
    first: str
    """Reference time of the first test window; empty where samples have none."""
    last: str
    oracle: bool = False
    """Whether the truth took part in what was held."""

    @property
    def row(self) -> str:
        """The metric and its entry: `csi/74`."""
        return "/".join([self.metric, *(f"{each:g}" if isinstance(each, float) else each for _, each in self.entry)])

    @property
    def name(self) -> str:
        """The variant, then the row: `held/csi/74`. Trackers cut the ends of long names."""
        return f"{self.variant}/{self.row}"

    def plain(self) -> dict[str, Any]:
        """What JSON and Parquet hold."""
        return {**asdict(self), "entry": json.dumps(dict(self.entry))}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Record:
        """The record that `plain` gave. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        known = {each.name: plain[each.name] for each in fields(cls)}
        entry = tuple((str(dim), each) for dim, each in json.loads(known["entry"]).items())
        lead = known["lead"]
        # Parquet gives NaN back as nothing.
        numbers = {
            name: float("nan") if known[name] is None else known[name] for name in ("value", "count", "coverage")
        }
        whole = None if lead is None or lead != lead else int(lead)
        return cls(**{**known, **numbers, "entry": entry, "lead": whole})


def scalars(records: Iterable[Record]) -> dict[str, float]:
    """Values over all leads by name, `held/csi/74`."""
    return {each.name: each.value for each in records if each.lead is None}


def curves(records: Iterable[Record]) -> dict[str, dict[int, float]]:
    """Values by lead, by name, `held/csi/74/lead`."""
    found: dict[str, dict[int, float]] = {}
    for each in records:
        if each.lead is not None:
            found.setdefault(f"{each.name}/lead", {})[each.lead] = each.value
    return found


def to_parquet(records: Sequence[Record]) -> bytes:
    """The long table of records."""
    import pandas as pd

    table = pd.DataFrame([each.plain() for each in records], columns=[each.name for each in fields(Record)])
    buffer = io.BytesIO()
    table.astype({"lead": "Int64"}).to_parquet(buffer, index=False)
    return buffer.getvalue()


def from_parquet(content: bytes) -> tuple[Record, ...]:
    """The records of a long table, in its order."""
    import pyarrow.parquet

    table: Any = pyarrow.parquet.read_table(io.BytesIO(content))
    return tuple(Record.of(row) for row in table.to_pylist())


@dataclass(frozen=True)
class Coverage:
    """How many points were answered, and which part they are of those with a truth: over all leads, and at each."""

    answered: float
    overall: float
    by_lead: Mapping[int, float]
    points_by_lead: Mapping[int, float]
    """How many were answered at each."""

    @classmethod
    def of(cls, fields: Sequence[tuple[xr.DataArray, xr.DataArray]]) -> Coverage:
        """From counts `(sample, [lead])` of the points and the answers of one or more fields."""
        points = sum(float(each.sum()) for each, _ in fields)
        answered = sum(float(each.sum()) for _, each in fields)
        by_lead: dict[int, tuple[float, float]] = {}
        for there, given in fields:
            if "lead" in there.dims:
                leads = there["lead"].values.tolist() if "lead" in there.coords else range(1, there.sizes["lead"] + 1)
                for lead, points_at, answered_at in zip(
                    leads, there.sum("sample").values, given.sum("sample").values, strict=True
                ):
                    before = by_lead.get(int(lead), (0.0, 0.0))
                    by_lead[int(lead)] = before[0] + float(points_at), before[1] + float(answered_at)
        parts = {lead: _part(given, there) for lead, (there, given) in by_lead.items()}
        return cls(answered, _part(answered, points), parts, {lead: given for lead, (_, given) in by_lead.items()})


def _part(answered: float, points: float) -> float:
    return answered / points if points else float("nan")


def records_of(score: Score, about: Record, *, coverage: Coverage, units: str) -> Iterator[Record]:
    """The records of a score, like `about` in what they are of; `units` are those of the field."""
    parts: list[tuple[Entry, Score]] = [((), score)]
    parts += [((("statistic", name),), each) for name, each in score.beside.items()]
    for first, part in parts:
        own = about
        if first:
            attrs = part.overall.attrs
            own = replace(about, better=attrs.get("better", ""), units=attrs.get("units", units))
        counts = part.counts or (None, None)
        for entry, values, count in entries(part.overall, counts[1]):
            known = coverage.answered if count is None else float(count)
            entry = (*first, *entry)
            yield replace(own, entry=entry, value=float(values), count=known, coverage=coverage.overall)
        if "lead" in part.by_lead.dims:
            yield from _by_lead(part.by_lead, counts[0], replace(own, entry=first), coverage)


def _by_lead(values: xr.DataArray, counts: xr.DataArray | None, own: Record, coverage: Coverage) -> Iterator[Record]:
    for entry, line, count in entries(values, counts):
        leads = line["lead"].values.tolist() if "lead" in line.coords else range(1, line.sizes["lead"] + 1)
        for i, lead in enumerate(leads):
            yield replace(
                own,
                entry=(*own.entry, *entry),
                lead=int(lead),
                value=float(line[i]),
                count=coverage.points_by_lead.get(int(lead), float("nan")) if count is None else float(count[i]),
                coverage=coverage.by_lead.get(int(lead), float("nan")),
            )


def entries(
    values: xr.DataArray, counts: xr.DataArray | None, *, kept: Sequence[str] = ("lead",)
) -> Iterator[tuple[Entry, xr.DataArray, xr.DataArray | None]]:
    """A score by its dims other than those `kept`, with its counts; and the mean over them where they are numbers."""
    import xarray as xr

    others = [str(dim) for dim in values.dims if dim not in kept]
    if counts is not None:
        values, counts = xr.align(values, counts, join="left", copy=False)
        counts = counts.sum([dim for dim in counts.dims if dim not in values.dims])
        counts = counts.broadcast_like(values).transpose(*values.dims)
    if not others:
        yield (), values, counts
        return
    for place in _places(values, others):
        entry = tuple((dim, _label(values, dim, i)) for dim, i in place.items())
        yield entry, values.isel(place), None if counts is None else counts.isel(place)
    # Over names (of statistics, of quantities in units of their own) a mean says nothing. An entry without a value
    # marks the mean: a mean of the others is another score.
    if all(values[dim].dtype.kind in "iuf" for dim in others):
        most = None if counts is None else counts.max(others)
        yield tuple((dim, "mean") for dim in others[:1]), values.mean(others, skipna=False), most


def _places(values: xr.DataArray, dims: Sequence[str]) -> Iterator[dict[str, int]]:
    for at in itertools.product(*(range(values.sizes[dim]) for dim in dims)):
        yield dict(zip(dims, at, strict=True))


def _label(values: xr.DataArray, dim: str, i: int) -> str | float:
    found = values[dim].values[i].item() if dim in values.coords else i
    return float(found) if isinstance(found, int | float) else str(found)
