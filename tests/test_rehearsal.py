"""What coordinates alone decide is refused by the plan, with its place in the recipe; no value of a field is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg import Dataset, HandshakeError, Metric, Registry, hookimpl
from thalweg.laws.integral import Integral
from thalweg.recipes.planning import plans_of
from thalweg.recipes.recipe import Recipe
from thalweg.testing import series, windowed


def unread(_: Any) -> Any:
    raise AssertionError("a value was read")


class Waves(Dataset):
    """Waves that cannot be read."""

    plane: bool = True

    def open(self) -> xr.Dataset:
        data = windowed(series(dims=("y", "x") if self.plane else ("latitude", "longitude")))
        number = np.arange(data.sizes["window"])
        rows = "y" if self.plane else "latitude"
        data["floor"] = rows, np.full(data.sizes[rows], -2.0, "float32"), {"units": "1"}
        data["window_split"] = "window", np.where(number < 20, 0, np.where(number < 30, -1, 2))
        return data.assign(field=data["field"].copy(data=data["field"].data.map_blocks(unread, dtype="float32")))

    def fingerprint(self) -> str:
        return "waves"


class Odd(Metric):
    """Says of ones what it would not of data."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        raise ValueError("odd")

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        raise AssertionError


class Rowless(Integral):
    """Its targets have no rows."""

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        return xr.DataArray(0.0)


class Plugin:
    @hookimpl
    def register_datasets(self, register: Any) -> None:
        register("waves", Waves)

    @hookimpl
    def register_laws(self, register: Any) -> None:
        register("rowless", Rowless)

    @hookimpl
    def register_metrics(self, register: Any) -> None:
        register("odd", Odd)


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry.installed()
    made.add("waves", Plugin())
    return made


def planned(registry: Registry, folder: Path, **sections: Any) -> None:
    small = {"method": "persistence"}
    tree = {"name": "tried", "ingest": "waves", "train": small, "evaluate": ["rmse"], **sections}
    plans_of(Recipe.parse(tree), registry, store=str(folder))


def held(law: str, by: Any, **options: Any) -> dict[str, Any]:
    return {"hold": {law: {"variable": "field", **options}}, "by": by}


SLOPE = {"dim": "y", "order": 5, "target": 0.0}
FNO = {"train": {"method": {"fno": {"modes": 2, "width": 2}}, "epochs": 1}}
SHORT = "a line over 6 cells from a face, of 6 to the other"
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a metric's coordinate": ({"evaluate": ["rmse", "nino34-skill"]}, "evaluate[1].nino34-skill", "'latitude'"),
    "a metric's box": (
        {"ingest": {"waves": {"plane": False}}, "evaluate": [{"nino34-skill": {"latitude": [50, 60]}}]},
        "evaluate[0].nino34-skill",
        "no cell lies between 50 and 60",
    ),
    "a metric's uncertainty": ({"evaluate": ["gaussian-crps"]}, "evaluate[0].gaussian-crps", "of its uncertainty"),
    "a law's weights": (
        {"constrain": [held("integral", "additive", weights="cell-area")]},
        "constrain[0].hold.integral",
        "needs an `area`",
    ),
    "a law's target, of a variant": (
        {"constrain": {"a": [held("integral", "additive")], "b": [held("integral", "additive", target="none")]}},
        "constrain.b[0].hold.integral",
        "needs 'none'",
    ),
    "a law, held together with another one": (
        {
            "constrain": [
                held("integral", "additive"),
                held("nonnegative", "multiplicative"),
                held("integral", "additive", weights="cell-area"),
            ]
        },
        "constrain[2].hold.integral",
        "needs an `area`",
    ),
    "a law's rows": (
        {"constrain": [held("rowless", "additive")]},
        "constrain[0].hold.rowless",
        "the targets of rowless are {}, of 1 rows",
    ),
    "an output's laws": (
        {"constrain": [held("integral", "additive"), held("monotone", "additive", dim="y")]},
        "constrain[0].by.additive: integral, monotone",
        "held together with other laws",
    ),
    "a line in a network": (
        {**FNO, "constrain": [held("boundary-flux", "boon", **SLOPE)]},
        "constrain[0].by.boon",
        SHORT,
    ),
    "a network without layers": (
        {
            "train": {"method": {"unet": {"widths": [2], "centre": 2}}, "epochs": 1},
            "constrain": [held("boundary-value", "boon", dim="y", target=0.0)],
        },
        "constrain[0].by.boon",
        "names no linear layers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_its_place(name: str, registry: Registry, tmp_path: Path) -> None:
    sections, place, says = REFUSED[name]
    with pytest.raises(HandshakeError, match=says) as caught:
        planned(registry, tmp_path, **sections)
    assert caught.value.where == place


def test_what_fits_is_planned_and_nothing_is_read(registry: Registry, tmp_path: Path) -> None:
    """Also a law whose target is computed from the inputs, bounds together with rows, and parts that ones surprise."""
    budget = held("advection-budget", "additive", window=3)
    within = held("nonnegative", "additive")
    planned(registry, tmp_path, constrain=[budget, within], evaluate=["odd", "rmse", {"ssim": {"window": 5}}])
    # A bound that is a field is one of ones here, above the other bound.
    floor = held("bounds", "additive", lower="floor", upper=0.5)
    planned(registry, tmp_path, constrain=[floor, held("integral", "additive", target=3.0)])
    slope = held("boundary-flux", "boon", **{**SLOPE, "order": 2})
    mean = held("area-mean", "last-layer", target="last-input", weights="equal")
    soft = held("bounds", "penalty", lower=0.0)
    planned(registry, tmp_path, **FNO, constrain=[slope, mean, soft])
