"""The scores of a recipe's methods as a Markdown table: means over seeds, with their standard errors.

    python benchmarks/skill.py recipes/nowcast-taasrad19.yaml --seeds 0 1 2 --set ingest.taasrad19.path=FILE

Runs the recipe once for each seed (`train.seed`), through the pipeline; what is committed is reused, so the command can
be interrupted, and given again. A method without a seed is run once. `minutes` is the mean time of a training.
`--curve free/nino34-skill/lead` prints a score by lead, as the evaluation names it.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict

from _markdown import title
from thalweg import Learner, curves
from thalweg.pipeline import Execution, execute
from thalweg.recipes.planning import plans
from thalweg.recipes.registry import Registry


def labels(execution: Execution, names: list[str], curve: str | None) -> dict[str, float]:
    """Scores by column: the metric, and `held` where a law was held; or those of a curve."""
    if curve is not None:
        known = curves(execution.records())
        if curve not in known:
            raise SystemExit(f"there is no curve {curve!r}; there are {', '.join(known)}")
        return {f"{at:g}": value for at, value in known[curve].items()}
    found = {}
    for row in execution.table():
        for version in ("free", "held"):
            if row[version] is not None and (not names or row["metric"] in names):
                found[f"{row['metric']}{', held' if version == 'held' else ''}"] = row[version]
    numbers = execution.stages["train"].numbers
    if "cost/seconds/train" in numbers:
        found["minutes"] = numbers["cost/seconds/train"] / 60
    return found


def cell(values: list[float]) -> str:
    """Mean, and standard error where there are several."""
    if not values:
        return ""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.4g}"
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.4g} ({error:.1g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change a value of the recipe")
    parser.add_argument("--metrics", nargs="*", default=[], help="columns; all if not given")
    parser.add_argument("--curve", help="one score along a coordinate, instead of all scores")
    parser.add_argument("--store", default=None)
    options = parser.parse_args()
    registry = Registry.installed()
    rows: dict[str, dict[str, list[float]]] = {}
    first = plans(options.recipe, overrides=options.set, registry=registry, store=options.store)
    drawn = [isinstance(each.method, Learner) and "seed" in each.method.trains_on for each in first]
    for number, seed in enumerate(options.seeds if any(drawn) else [0]):
        seeded = [*options.set, *([f"train.seed={seed}"] if any(drawn) else [])]
        made = plans(options.recipe, overrides=seeded, registry=registry, store=options.store)
        for position, plan in enumerate(made):
            if number and not drawn[position]:
                continue
            row = rows.setdefault(f"{position} {title(plan.method)}", defaultdict(list))
            for column, value in labels(execute(plan, registry=registry), options.metrics, options.curve).items():
                row[column].append(value)
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print(f"| method | {' | '.join(columns)} | seeds |")
    print("|---" * (len(columns) + 2) + "|")
    for name, row in rows.items():
        seeds = max(map(len, row.values()))
        print(f"| {name.split(' ', 1)[1]} | {' | '.join(cell(row[each]) for each in columns)} | {seeds} |")


if __name__ == "__main__":
    main()
