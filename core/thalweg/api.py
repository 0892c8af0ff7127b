"""thalweg from Python: plan and run a recipe, look at its scores and estimates, compare runs, forecast.

import thalweg

runs = thalweg.run("recipe.yaml", store="results")
runs.scores                       # a table: a row for each number, with count and coverage
runs[0].estimate("held")          # xarray, read lazily from the store
runs[0].forecast()                # from the newest data, in the units of the source
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from .components import Parts
from .components.calls import planning
from .errors import OptionError
from .pipeline import execute
from .recipes.limits import check_place
from .recipes.plan import Plan
from .recipes.planning import plans, plans_of
from .recipes.recipe import Recipe
from .recipes.registry import Registry
from .results.comparing import Comparison, compared
from .results.estimates import whole_estimate
from .results.folders import read_run
from .results.forecasts import Forecasting
from .results.records import Record
from .results.report import table
from .results.shared import Missing
from .results.sides import sides_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

STORE = "thalweg-store"
"""Where stages and runs lie if nothing else is said."""


@dataclass(frozen=True, repr=False)
class Plans(Sequence[Plan]):
    """The plans of a recipe, one for each of its methods; printed, they say what would run."""

    plans: tuple[Plan, ...]

    @overload
    def __getitem__(self, at: int) -> Plan: ...
    @overload
    def __getitem__(self, at: slice) -> Plans: ...
    def __getitem__(self, at: int | slice) -> Plan | Plans:
        return Plans(self.plans[at]) if isinstance(at, slice) else self.plans[at]

    def __len__(self) -> int:
        return len(self.plans)

    def __repr__(self) -> str:
        return "\n".join(each.text() for each in self.plans)


@dataclass(frozen=True, repr=False)
class Finished:
    """A run that is in the store: its scores, estimates and forecasts."""

    name: str
    digest: str
    store: str
    """URL of the store that it lies in."""
    records: tuple[Record, ...]
    """Every number of its evaluation."""
    stores: Mapping[str, Any]
    """Where its stages lie."""
    registry: Registry

    @classmethod
    def of(cls, run: str, *, store: str | Path | None = None, registry: Registry | None = None) -> Finished:
        """A run by its name, or the beginning of it. Raises `SourceError` if there is none, or more than one."""
        place = check_place(str(store or STORE))
        found = read_run(run, place)
        known = registry or Registry.installed()
        return cls(found["name"], found["digest"], place.root, tuple(found["records"]), found.get("stores", {}), known)

    @property
    def title(self) -> str:
        """`recipe-name/digest`."""
        return f"{self.name}/{self.digest[:10]}"

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The records as a table."""
        return _table({self.title: self.records})

    @property
    def variants(self) -> tuple[str, ...]:
        """The estimates that were scored: `free`, and each variant of `constrain`; of a plain list, `held`."""
        return tuple(self.stores["estimates"])

    def estimate(self, variant: str = "free") -> xr.Dataset:
        """An estimate of all test samples, dask-backed; of samples of unlike size in memory, their elements in a row.

        Raises `OptionError` for a variant that there is not.
        """
        if variant not in self.variants:
            raise OptionError(
                f"{self.title} has no estimate {variant!r}",
                allowed=", ".join(self.variants),
                advice="name one of these",
            )
        return whole_estimate(str(self.stores["estimates"][variant]))

    def solver(self, variant: str = "free") -> str:
        """The URL of the folder of a variant's solver, which `thalweg.load` reads.

        A method that no law takes part in the training of has one solver for all. Raises `OptionError` for a variant
        that there is not.
        """
        asked = self._forecasting
        return asked.solver(asked.variant(variant))

    def forecast(self, data: str | None = None, *, origins: int = 1, variant: str | None = None) -> xr.Dataset:
        """A forecast from the newest steps that have values, of its own source or of the file `data`.

        In the units of the source, held to the laws of a variant: `free` for none. No truth is needed. Raises
        `OptionError` for a run of several variants, if none is named.
        """
        return self._forecasting.forecast(self.registry, file=data, origins=origins, variant=variant)

    @property
    def _forecasting(self) -> Forecasting:
        return Forecasting.of(f"{self.name}-{self.digest[:10]}", check_place(self.store))

    def __repr__(self) -> str:
        lines = [f"thalweg run {self.title}"]
        for row in table(self.records):
            cells = "  ".join(f"{v} {row[v]:.4g}" for v in self.variants if row.get(v) is not None)
            lines.append(f"  {row['metric']:<32} {cells}{f'  [{units}]' if (units := row['units']) else ''}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        shown = self.scores[self.scores["lead"].isna()][["metric", "variant", "value", "count", "coverage", "units"]]
        return f"<p><b>{self.title}</b></p>{shown.to_html(index=False)}"


@dataclass(frozen=True, repr=False)
class Runs(Sequence[Finished]):
    """The runs of a recipe, one for each of its methods."""

    runs: tuple[Finished, ...]

    @overload
    def __getitem__(self, at: int) -> Finished: ...
    @overload
    def __getitem__(self, at: slice) -> Runs: ...
    def __getitem__(self, at: int | slice) -> Finished | Runs:
        return Runs(self.runs[at]) if isinstance(at, slice) else self.runs[at]

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def scores(self) -> pd.DataFrame:
        """The records of all runs as one table."""
        return _table({each.title: each.records for each in self.runs})

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.runs))

    def _repr_html_(self) -> str:
        return "".join(each._repr_html_() for each in self.runs)


def plan(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Iterable[str] = (),
    store: str | Path | None = None,
    cluster: Any = None,
    registry: Registry | None = None,
    only: str = "",
) -> Plans:
    """What would run: the plans of a recipe, a file or plain data. Raises `RecipeError`; nothing is started.

    `overrides` are `a.b=c` as for `--set`; `only="free"` leaves out the laws.
    """
    known = registry or Registry.installed()
    place = None if store is None else str(store)
    if not isinstance(recipe, Mapping):
        return Plans(tuple(plans(recipe, overrides=overrides, registry=known, store=place, cluster=cluster, only=only)))
    if tuple(overrides):
        raise OptionError(
            "overrides of a recipe that is no file", allowed="a file with overrides", advice="change the mapping"
        )
    parsed = Recipe.parse(recipe)
    if only == "free":
        parsed = parsed.model_copy(update={"constrain": (), "variants": {}})
    if cluster is not None:
        parsed = parsed.model_copy(update={"cluster": cluster})
    with planning():
        return Plans(tuple(plans_of(parsed, known, store=place, only=only)))


def run(
    recipe: str | Path | Mapping[str, Any] | Plans,
    *,
    overrides: Iterable[str] = (),
    store: str | Path | None = None,
    cluster: Any = None,
    registry: Registry | None = None,
    only: str = "",
) -> Runs:
    """Run a recipe, or plans that were made; stages that are committed are reused."""
    known = registry or Registry.installed()
    made = (
        recipe
        if isinstance(recipe, Plans)
        else plan(recipe, overrides=overrides, store=store, cluster=cluster, registry=known, only=only)
    )
    with made[0].cluster.open() as workers:
        done = [execute(each, registry=known, workers=workers) for each in made]
    return Runs(tuple(Finished.of(str(each.run.folder), store=each.plan.store.root, registry=known) for each in done))


def open_scores(run: str, *, store: str | Path | None = None) -> pd.DataFrame:
    """The scores of a run in a store as a table: metric, entry, variant, lead, value, count, coverage, units, ..."""
    return Finished.of(run, store=store, registry=Registry()).scores


def forecast(
    run: str,
    data: str | None = None,
    *,
    origins: int = 1,
    variant: str | None = None,
    store: str | Path | None = None,
    registry: Registry | None = None,
) -> xr.Dataset:
    """A forecast with what a run in a store has fitted; see `Finished.forecast`."""
    return Finished.of(run, store=store, registry=registry).forecast(data, origins=origins, variant=variant)


def compare(
    *runs: str | Finished,
    store: str | Path | None = None,
    registry: Parts | None = None,
    missing: Missing = "drop",
) -> Comparison:
    """Scores of runs on the points that all answered, with paired differences from the first.

    `missing="reference"` lets the first run answer the points that another does not, so that no run gains by silence.
    Raises `CompareError` where they were scored on different truths.
    """
    found = [each if isinstance(each, Finished) else Finished.of(each, store=store) for each in runs]
    sides = [side for each in found for side in sides_of(each.title, each.records, each.stores)]
    return compared(sides, registry=registry or Registry.installed(), missing=missing)


def _table(records: Mapping[str, Iterable[Record]]) -> pd.DataFrame:
    import pandas as pd

    rows = list(_rows(records))
    return pd.DataFrame(rows).astype({"lead": "Int64"}) if rows else pd.DataFrame()


def _rows(records: Mapping[str, Iterable[Record]]) -> Iterator[dict[str, Any]]:
    for title, each in records.items():
        for one in each:
            yield {"run": title, **one.plain(), "entry": dict(one.entry)}
