"""What coordinates alone decide is refused by the plan, with its place in the recipe; no value of a field is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.sparse import csr_array
from thalweg import Dataset, HandshakeError, Held, LinearLaw, Metric, OutputEnforcer, Registry, Rows, hookimpl
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
        plane = (rows, "x" if self.plane else "longitude")
        data["basin"] = plane, np.full([data.sizes[dim] for dim in plane], 2, "int32"), {"units": "1"}
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


class Warm(Metric):
    """Refuses fields below 200: of ones, not of temperatures in kelvin."""

    def statistics(self, estimate: xr.Dataset, truth: xr.Dataset) -> Mapping[str, xr.DataArray]:
        if float(estimate["field"].min()) < 200.0:
            raise HandshakeError("below 200")
        return {"bias": estimate["field"] - truth["field"]}

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        raise AssertionError


class Total(LinearLaw):
    """A sum over space of the field that another option names."""

    of: str = "field"

    def rows(self, grid: xr.Dataset) -> Rows:
        return Integral(variable=self.of).rows(grid)

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        return xr.DataArray([1.0], dims="row")


class OfInputs(Integral):
    """Its targets are of the steps of the inputs, as many as there are of the truth."""

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> xr.DataArray:
        return context[self.variable].sum(("y", "x")).isel(lead=[-1]).expand_dims("row")


class Basin(Total):
    """The sum over the cells of one number in a static field, which is read."""

    number: int = 2
    gives: str = ""

    def rows(self, grid: xr.Dataset) -> Any:
        if self.gives == "numbers":
            return np.ones(48)
        inside = grid["basin"].values == self.number
        if self.number == 9:
            inside = inside / np.zeros(inside.shape)
        if self.number == 7:
            raise HandshakeError("no basin is called 7")
        return Weighs(self.of, inside.astype(float))

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> Any:
        return 1.0 if self.gives == "a number" else super().targets(context, grid)


class Weighs(Rows):
    count, dims = 1, ("y", "x")

    def __init__(self, variable: str, weights: Any) -> None:
        self.variable, self.weights = variable, weights

    def block(self, region: Mapping[str, slice]) -> Any:
        return csr_array(self.weights[region["y"], region["x"]].reshape(1, -1))


class Loses(OutputEnforcer):
    """Forgets the field."""

    def hold(self, estimate: xr.Dataset, held: Held, context: xr.Dataset) -> xr.Dataset:
        return estimate.drop_vars("field")


class Plugin:
    @hookimpl
    def register_datasets(self, register: Any) -> None:
        register("waves", Waves)

    @hookimpl
    def register_laws(self, register: Any) -> None:
        register("rowless", Rowless)
        register("of-inputs", OfInputs)
        register("total", Total)
        register("basin", Basin)

    @hookimpl
    def register_enforcers(self, register: Any) -> None:
        register("loses", Loses)

    @hookimpl
    def register_metrics(self, register: Any) -> None:
        register("odd", Odd)
        register("warm", Warm)
        register("nothing", type("Nothing", (Warm,), {"__doc__": "Gives nothing.", "statistics": lambda *_: {}}))


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
    "a law's leads": (
        {"constrain": [held("of-inputs", "additive")]},
        "constrain[0].hold.of-inputs",
        r"the targets of of-inputs are of the leads \[0\], of the inputs",
    ),
    "targets that exclude each other": (
        {
            "constrain": [
                held("integral", "additive", target=1.0),
                held("nonnegative", "multiplicative"),
                held("integral", "multiplicative", target=2.0),
            ]
        },
        "constrain[2].hold.integral",
        "of the same cells one gives 2, the other 1",
    ),
    "targets and bounds that exclude each other": (
        {"constrain": [held("bounds", "additive", upper=1.0), held("integral", "multiplicative", target=50.0)]},
        "constrain[1].hold.integral",
        "no field within the bounds gives 50",
    ),
    "one law that contradicts itself": (
        {"constrain": [held("point-observations", "additive", points=[{"y": 0.0, "x": 0.0}] * 2, values=[1.0, 2.0])]},
        "constrain[0].hold.point-observations",
        "of the same cells one gives 1, the other 2",
    ),
    "rows of a static field, of no cell": (
        {"constrain": [{"hold": {"basin": {"number": 3}}, "by": "additive"}]},
        "constrain[0].hold.basin",
        "weighs no cell, and is to give 1",
    ),
    "rows that are not finite": (
        {"constrain": [{"hold": {"basin": {"number": 9}}, "by": "additive"}]},
        "constrain[0].hold.basin",
        "have weights that are not finite",
    ),
    "rows that are none": (
        {"constrain": [{"hold": {"basin": {"gives": "numbers"}}, "by": "additive"}]},
        "constrain[0].hold.basin",
        "`rows` of basin gives a ndarray",
    ),
    "targets that are none": (
        {"constrain": [{"hold": {"basin": {"gives": "a number"}}, "by": "additive"}]},
        "constrain[0].hold.basin",
        "`targets` of basin gives a float",
    ),
    "an enforcer that loses the field": (
        {"constrain": [held("integral", "loses")]},
        "constrain[0].by.loses",
        "`hold` of loses gives no 'field'",
    ),
    "a metric of nothing": ({"evaluate": ["nothing"]}, "evaluate[0].nothing", "`statistics` of nothing gives nothing"),
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
    "a law that the next enforcer would break": (
        {**FNO, "constrain": [{"hold": "total", "by": "last-layer"}, held("boundary-value", "boon", dim="y")]},
        "constrain[1].by.boon",
        "total, held by last-layer, would no longer hold after boon",
    ),
    "a line without its outermost cell": (
        {**FNO, "constrain": [held("robin", "boon", dim="y", side="left", slope=1000.0)]},
        "constrain[0].by.boon",
        "weighs its outermost cell by 0",
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
    planned(registry, tmp_path, constrain=[budget, within], evaluate=["odd", "warm", "rmse", {"ssim": {"window": 5}}])
    planned(registry, tmp_path, constrain=[{"hold": "basin", "by": "additive"}])
    # Static fields are themselves.
    floor = held("bounds", "additive", lower="floor", upper=0.5)
    planned(registry, tmp_path, constrain=[floor, held("integral", "additive", target=3.0)])
    # Of unlike cells, of a noise, by a penalty, or of other variants.
    one, other = (held("integral", "additive", target=each, noise=each) for each in (1.0, 2.0))
    planned(registry, tmp_path, constrain=[one, other])
    one, other = (held("integral", "additive", target=each) for each in (1.0, 2.0))
    planned(registry, tmp_path, constrain={"one": [one], "other": [other]})
    planned(registry, tmp_path, constrain=[one, held("integral", "additive", target=2.0, weights="trapezoid")])
    slope = held("boundary-flux", "boon", **{**SLOPE, "order": 2})
    mean = held("area-mean", "last-layer", target="last-input", weights="equal")
    soft = held("bounds", "penalty", lower=0.0)
    planned(registry, tmp_path, **FNO, constrain=[slope, mean, soft])


LARGE = [name for name in REFUSED if name not in ("a metric's uncertainty", "an enforcer that loses the field")]


@pytest.mark.parametrize("name", LARGE)
def test_a_large_sample_is_refused_before_a_value_is_looked_at(
    name: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.recipes.rehearsal.ROOM", 0)
    sections, place, says = REFUSED[name]
    with pytest.raises(HandshakeError, match=says) as caught:
        planned(registry, tmp_path, **sections)
    assert caught.value.where == place
