"""How smooth a recipe's estimates are, by lead: differences of neighbouring cells and extremes, beside the truth's.

    python benchmarks/smoothness.py RECIPE [--set A.B=C] [--leads 1 9 12] [--thresholds 133 181] [--store FOLDER]

Runs the recipe through the pipeline; what is committed is reused. For each method, over all test samples: the root mean
square of the differences along the last dim but one, as a part of the truth's; the percentage of cells at or above each
threshold; the mean field.
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr
from _markdown import title
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.recipes.registry import Registry
from thalweg.stores.arrays import read


def roughness(field: xr.DataArray) -> float:
    values = field.values.astype(np.float64)
    return float(np.sqrt(np.nanmean(np.diff(values, axis=-2) ** 2)))


def described(field: xr.DataArray, truth: xr.DataArray, thresholds: list[float]) -> str:
    shares = [f"{100 * float((field >= each).mean()):.2f}" for each in thresholds]
    return " | ".join([f"{roughness(field) / roughness(truth):.2f}", *shares, f"{float(field.mean()):.1f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change a value of the recipe")
    parser.add_argument("--leads", type=int, nargs="+", default=[1, 9, 12])
    parser.add_argument("--thresholds", type=float, nargs="*", default=[133, 181])
    parser.add_argument("--store", default=None)
    options = parser.parse_args()
    registry = Registry.installed()
    print(f"| method | lead | roughness | {' | '.join(f'% >= {each:g}' for each in options.thresholds)} | mean |")
    print("|---" * (4 + len(options.thresholds)) + "|")
    for number, plan in enumerate(plans(options.recipe, overrides=options.set, registry=registry, store=options.store)):
        execution = execute(plan, registry=registry, to="constrain")
        done, samples = execution.stages, execution.prepared.samples("test")
        (name,) = samples.wanted.names
        truth = samples.truth(slice(None))[name].transpose("sample", "lead", ...)
        estimate = read(done["constrain"].store)[name].transpose(*truth.dims)
        for lead in options.leads:
            at = {"lead": lead - 1}
            if not number:
                print(f"| truth | {lead} | {described(truth.isel(at), truth.isel(at), options.thresholds)} |")
            found = described(estimate.isel(at), truth.isel(at), options.thresholds)
            print(f"| {title(plan.method)} | {lead} | {found} |")


if __name__ == "__main__":
    main()
