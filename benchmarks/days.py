"""Each variant of a recipe's estimates against the free one, with 95 % intervals from whole days, drawn anew.

    python benchmarks/days.py recipes/nowcast-taasrad19-bounds.yaml --set ingest.taasrad19.path=FILE

Runs the recipe; what is committed is reused. Windows of one day are one event or two, and an interval over windows
takes them for as many.
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr
from _markdown import title
from thalweg import Metric
from thalweg.components.totals import Totals
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.recipes.registry import Registry
from thalweg.results.differences import difference
from thalweg.results.scoring import Tally
from thalweg.results.sums import Sums


def of_days(tally: Tally, days: np.ndarray) -> Tally:
    """Totals of windows, added up by day."""

    def added(array):
        return array.assign_coords(sample=days).groupby("sample").sum()

    return {name: Totals(added(each.sum), added(each.count)) for name, each in tally.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change a value of the recipe")
    parser.add_argument("--store", default=None)
    options = parser.parse_args()
    registry = Registry.installed()
    for plan in plans(options.recipe, overrides=options.set, registry=registry, store=options.store):
        execution = execute(plan, registry=registry)
        free = {row["metric"]: row["free"] for row in execution.table()}
        sums = Sums(f"{execution.stages['evaluate'].store.rpartition('/')[0]}/sums")
        days = sums.keys["reference_time"].values.astype("datetime64[D]")
        variants = [each for each in plan.versions if each != "free"]
        print(f"\n{title(plan.method)}: {len(np.unique(days))} days, {len(days)} windows")
        print(f"| score | free | {' | '.join(f'{each} - free' for each in variants)} |")
        print("|---" * (len(variants) + 2) + "|")
        tallies = {each: sums.tallies(each) for each in plan.versions}
        for label, metric in plan.metrics.items():
            if not isinstance(metric, Metric):
                continue
            found: dict[str, list[str]] = {}
            for variant in variants:
                one, other = (of_days(tallies[each][label], days) for each in ("free", variant))
                for each in difference(metric, one, other, keys=xr.Dataset(), block=1):
                    row = f"{label}/{each.row}" if each.row else label
                    found.setdefault(row, []).append(f"{each.value:+.4g} ± {each.half:.2g}")
            for row, cells in found.items():
                print(f"| {row} | {free.get(row, float('nan')):.4g} | {' | '.join(cells)} |")
        for row in execution.table():
            if row["metric"].startswith("violation/"):
                print(
                    f"| {row['metric']} | {row['free']:.3g} | {' | '.join(format(row[v], '.3g') for v in variants)} |"
                )


if __name__ == "__main__":
    main()
