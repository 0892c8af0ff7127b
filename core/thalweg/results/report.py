"""What a run leaves for people: its folder, its table of scores, its card."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from ..components import Learner
from ..credentials import hidden
from ..recipes.plan import Plan
from ..recipes.registry import Registry
from ..stores.committed import Committed
from ..stores.files import write_bytes, writing
from ..stores.references import refer
from ..stores.sealed import write_sealed
from .folders import local_root, publish
from .records import Record, from_parquet
from .run import Run, Stage

SCORES = "scores.parquet"
VERSIONED = ("thalweg", "numpy", "xarray", "zarr", "dask", "torch")


def runs_folder(plan: Plan) -> Path:
    """Where runs keep their records: beside the stages, or in the user's cache for a store that is not local."""
    return local_root(plan.store) / "runs"


def run_of(plan: Plan, registry: Registry, tags: Mapping[str, str]) -> Run:
    """The run of a plan."""
    folder = runs_folder(plan) / f"{plan.recipe.name}-{plan.digest[:10]}"
    laws = [law.name for hold in plan.holds for law in hold.laws]
    own = {
        "thalweg.digest": plan.digest,
        "thalweg.recipe": plan.recipe.name,
        "thalweg.dataset": plan.dataset.name,
        "thalweg.method": plan.method.name,
        "thalweg.law": ",".join(laws) or "none",
        "thalweg.enforcer": ",".join(hold.enforcer.name for hold in plan.holds) or "none",
        "thalweg.site": ",".join(hold.site for hold in plan.holds) or "none",
        **({"thalweg.oracle": "true"} if any(hold.oracle for hold in plan.holds) else {}),
        **{f"thalweg.plugin.{each.plugin}": each.version for each in registry.origins.values()},
        **({"git.commit": commit} if (commit := _commit()) else {}),
    }
    files = {"recipe.yaml": str(folder / "recipe.yaml"), "plan.txt": str(folder / "plan.txt")}
    return Run(
        plan.recipe.name,
        plan.recipe.experiment,
        plan.digest,
        str(folder),
        plan.resolved(),
        hidden({**own, **tags}),
        files,
    )


def write_run_files(run: Run, plan: Plan) -> None:
    """The recipe and the plan, in the run's folder."""
    with writing(run.folder):
        Path(run.folder).mkdir(parents=True, exist_ok=True)
    write_bytes(run.files["recipe.yaml"], yaml.safe_dump(plan.recipe.resolved(), sort_keys=False).encode())
    write_bytes(run.files["plan.txt"], (plan.text() + "\n").encode(errors="backslashreplace"))
    refer(plan.store.root, Path(run.folder).name, plan.stages())
    publish(run.folder, plan.store, list(run.files))


def with_files(stage: Stage, committed: Committed, run: Run, plan: Plan, stores: Mapping[str, Any]) -> Stage:
    """The finished evaluation with its records, its files as local ones, and an account of it in the run's folder.

    `stores` says where the stages lie from which it can be scored again.
    """
    folder = Path(run.folder)
    local: dict[str, str] = {}
    records: tuple[Record, ...] = ()
    for each in committed.files():
        name = each.removeprefix("data/")
        local[name] = str(folder / name)
        content = committed.content(each)
        write_bytes(local[name], content, sync=False)
        if name == SCORES:
            records = from_parquet(content)
    text = card(plan, table(records), without_value(records))
    write_bytes(str(folder / "card.md"), text.encode(errors="backslashreplace"))
    local["card.md"] = str(folder / "card.md")
    _summarise(run, plan, records, stores, [*local])
    return replace(stage, records=records, files=local)


def untested(stage: Stage, run: Run, plan: Plan) -> Stage:
    """The evaluation of a run that has no test samples: its card, and no score."""
    folder = Path(run.folder)
    write_bytes(str(folder / "card.md"), card(plan, []).encode(errors="backslashreplace"))
    _summarise(run, plan, (), {}, ["card.md"])
    return replace(stage, files={"card.md": str(folder / "card.md")})


def _summarise(
    run: Run, plan: Plan, records: Sequence[Record], stores: Mapping[str, Any], files: Sequence[str]
) -> None:
    summary = {
        "name": run.name,
        "experiment": run.experiment,
        "digest": run.digest,
        "recipe": dict(run.recipe),
        "tags": dict(run.tags),
        "records": [each.plain() for each in records],
        "stores": dict(stores),
    }
    write_sealed(str(Path(run.folder) / "run.json"), {**summary, "cite": list(plan.cites)})
    publish(run.folder, plan.store, ["run.json", *files])


def table(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Values over all leads as rows, in the order of the records: one metric with one set of options a row.

    A row has `metric`, the value of each variant (None where there is none), `units`, `higher_is_better`, `options`,
    and by variant `count` and `coverage`.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for each in records:
        if each.lead is not None:
            continue
        row = rows.setdefault(
            (each.row, each.options),
            {
                "metric": f"{each.row} (oracle)" if each.oracle else each.row,
                "free": None,
                "held": None,
                "higher_is_better": {"higher": True, "lower": False}.get(each.better),
                "options": each.options,
                "units": each.units,
                "count": {},
                "coverage": {},
            },
        )
        row[each.variant] = each.value
        row["count"][each.variant], row["coverage"][each.variant] = each.count, each.coverage
    return list(rows.values())


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The variants of a table, in order."""
    found = list(dict.fromkeys(each for row in rows for each in row["count"]))
    return ["free", "held"] if set(found) <= {"free", "held"} else found


def without_value(records: Iterable[Record]) -> list[str]:
    """What to say of scores over all leads that some lead has no value in: they are of the other leads."""
    values: dict[tuple[str, str, str], dict[int | None, float]] = {}
    for each in records:
        values.setdefault((each.row, each.options, each.variant), {})[each.lead] = each.value
    silent: dict[str, list[str]] = {}
    for (row, _, _), by_lead in values.items():
        leads = [str(lead) for lead, value in by_lead.items() if lead is not None and value != value]
        if leads and by_lead.get(None, math.nan) == by_lead.get(None):
            rows = silent.setdefault(", ".join(leads), [])
            rows += [row] if row not in rows else []
    return [
        f"no value at lead {leads} (the score over all leads is of the other leads): {', '.join(rows[:6])}"
        + (", ..." if len(rows) > 6 else "")
        for leads, rows in silent.items()
    ]


def counted(counts: Iterable[float]) -> str:
    """How much was counted, for a table: one number, or the least and the most."""
    known = sorted({each for each in counts if each == each})
    shown = [f"{each:,.0f}" if each == int(each) else f"{each:,.1f}" for each in known]
    return "-".join(dict.fromkeys([shown[0], shown[-1]])) if shown else ""


def covered(coverages: Iterable[float]) -> str:
    """Coverage for a table: of the least covered; never rounded up to all."""
    known = [each for each in coverages if each == each]
    if not known:
        return ""
    least = min(known)
    return "100 %" if least == 1 else f"{min(int(least * 1000) / 10, 99.9):.1f} %"


def cell(value: float | None) -> str:
    """A number for a table."""
    if value is None:
        return ""
    return f"{value:.3e}" if value and (abs(value) < 1e-3 or abs(value) >= 1e5) else f"{value:.4f}"


def markdown(run: Run, rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of scores in Markdown."""
    return "\n".join([f"**{run.title}**", "", *_lines(rows)])


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = columns(rows)
    lines = [f"| metric | {' | '.join(shown)} | units | count | coverage |"]
    lines.append(f"|---|{'---:|' * len(shown)}---|---:|---:|")
    for row in rows:
        beside = f"{counted(row['count'].values())} | {covered(row['coverage'].values())}"
        values = " | ".join(cell(row.get(each)) for each in shown)
        lines.append(f"| {row['metric']} | {values} | {row['units']} | {beside} |")
    return lines


def card(plan: Plan, rows: Sequence[Mapping[str, Any]], notes: Sequence[str] = ()) -> str:
    """A run's or a fitted solver's card."""
    laws = [
        f"* {'' if name == 'held' else f'{name}: '}{'+'.join(law.name for law in h.laws)} by {h.enforcer.name} "
        f"at the {h.site} site"
        for name, holds in plan.variants.items()
        for h in holds
    ]
    learned = f"{plan.method.name}, {'learned' if isinstance(plan.method, Learner) else 'solved'}"
    lines = [f"# {plan.recipe.name}", "", f"Data: {plan.dataset.name}. Method: {learned}.", ""]
    lines += [*laws, ""] if laws else []
    if rows:
        lines += [*_lines(rows), "", *notes, *([""] if notes else [])]
    lines += ["Cite: " + ", ".join(f"https://doi.org/{doi}" for doi in plan.cites), ""] if plan.cites else []
    lines += ["```", plan.text(), "```", ""]
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Versions of what computed a stage."""
    return dict(_versions())


@cache
def _versions() -> Mapping[str, str]:
    return {name: metadata.version(name) for name in VERSIONED}


def _commit() -> str:
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
