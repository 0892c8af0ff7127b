"""What a run leaves for people: its folder, its table of scores, its card."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from .run import Run, Stage

if TYPE_CHECKING:
    import pandas as pd

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
        plan.recipe.resolved(),
        hidden({**own, **tags}),
        files,
    )


def write_run_files(run: Run, plan: Plan) -> None:
    """The recipe and the plan, in the run's folder."""
    with writing(run.folder):
        Path(run.folder).mkdir(parents=True, exist_ok=True)
    write_bytes(run.files["recipe.yaml"], yaml.safe_dump(dict(run.recipe), sort_keys=False).encode())
    write_bytes(run.files["plan.txt"], (plan.text() + "\n").encode(errors="backslashreplace"))
    refer(plan.store.root, Path(run.folder).name, plan.stages())
    publish(run.folder, plan.store, list(run.files))


def with_files(stage: Stage, committed: Committed, run: Run, plan: Plan) -> Stage:
    """The finished evaluation with its curves, its files as local ones, and a record of it in the run's folder."""
    folder = Path(run.folder)
    local = {}
    for each in committed.files():
        name = each.removeprefix("data/")
        local[name] = str(folder / name)
        write_bytes(local[name], committed.content(each), sync=False)
    curves = json.loads(Path(local["curves.json"]).read_text())
    rows = table(plan, stage.numbers)
    write_bytes(str(folder / "card.md"), card(plan, rows).encode(errors="backslashreplace"))
    local["card.md"] = str(folder / "card.md")
    summary = {
        "name": run.name,
        "experiment": run.experiment,
        "digest": run.digest,
        "tags": dict(run.tags),
        "table": rows,
    }
    write_sealed(str(folder / "run.json"), {**summary, "cite": list(plan.cites)})
    publish(run.folder, plan.store, ["run.json", *local])
    by_lead = {key: {int(lead): value for lead, value in curve.items()} for key, curve in curves.items()}
    return replace(stage, curves=by_lead, files=local)


def table(plan: Plan, numbers: Mapping[str, float]) -> list[dict[str, Any]]:
    """Scores, violations and costs as rows of metric, free, held."""
    rows: dict[str, dict[str, Any]] = {}
    for key, value in numbers.items():
        metric, _, version = key.rpartition("/")
        if version not in ("free", "held") or metric.startswith("cost/"):
            continue
        part = (
            plan.metrics.get(metric)
            or plan.metrics.get(metric.rpartition("/")[0])
            or plan.metrics.get(metric.split("/")[0])
        )
        better = getattr(part, "higher_is_better", False if metric.startswith("violation/") else None)
        name = f"{metric} (oracle)" if any(hold.oracle for hold in plan.holds) else metric
        row = rows.setdefault(metric, {"metric": name, "free": None, "held": None, "higher_is_better": better})
        row[version] = value
    return list(rows.values())


def cell(value: float | None) -> str:
    """A number for a table."""
    if value is None:
        return ""
    return f"{value:.3e}" if value and (abs(value) < 1e-3 or abs(value) >= 1e5) else f"{value:.4f}"


def markdown(run: Run, rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of scores in Markdown."""
    lines = [f"**{run.title}**", "", "| metric | free | held |", "|---|---:|---:|"]
    lines += [f"| {row['metric']} | {cell(row['free'])} | {cell(row['held'])} |" for row in rows]
    return "\n".join(lines)


def card(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> str:
    """A run's or a fitted solver's card."""
    laws = [f"* {'+'.join(law.name for law in h.laws)} by {h.enforcer.name} at the {h.site} site" for h in plan.holds]
    learned = f"{plan.method.name}, {'learned' if isinstance(plan.method, Learner) else 'solved'}"
    lines = [f"# {plan.recipe.name}", "", f"Data: {plan.dataset.name}. Method: {learned}.", ""]
    lines += [*laws, ""] if laws else []
    if rows:
        lines += ["| metric | free | held |", "|---|---:|---:|"]
        lines += [f"| {row['metric']} | {cell(row['free'])} | {cell(row['held'])} |" for row in rows] + [""]
    lines += ["Cite: " + ", ".join(f"https://doi.org/{doi}" for doi in plan.cites), ""] if plan.cites else []
    lines += ["```", plan.text(), "```", ""]
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Versions of what computed a stage."""
    return {name: metadata.version(name) for name in VERSIONED}


def write_scores(url: str, scores: pd.DataFrame) -> None:
    """A long table of scores as Parquet."""
    buffer = io.BytesIO()
    scores.to_parquet(buffer, index=False)
    write_bytes(url, buffer.getvalue())


def _commit() -> str:
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
