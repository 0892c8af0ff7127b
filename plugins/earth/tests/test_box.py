"""A box means the same in all parts that take one, whichever way longitudes are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import OptionError, score
from thalweg_earth import _box
from thalweg_earth.methods.damped_persistence import _predictor
from thalweg_earth.metrics.nino34_skill import Nino34Skill
from thalweg_earth.transforms.coarsen import Coarsen
from thalweg_earth.transforms.select import Select

NONE = xr.Dataset()
ROUND = {"0 to 360": np.arange(2.5, 360, 5), "-180 to 180": np.arange(-177.5, 180, 5)}
BOXES = [((170, -120), 14), ((170, 240), 14), ((-190, -120), 14), ((350, 10), 4), ((-10, 10), 4), ((350, 370), 4)]


def field(longitude: np.ndarray, latitude: np.ndarray, dims: tuple[str, ...] = ("time",)) -> xr.Dataset:
    """The longitude itself, from 0 to 360, plus a thousand latitudes."""
    values = longitude[None, :] % 360 + 1e3 * latitude[:, None]
    for _ in dims:
        values = values[None]
    coords = {"latitude": latitude, "longitude": longitude, **{dim: np.arange(1) for dim in dims}}
    return xr.Dataset({"t": ((*dims, "latitude", "longitude"), values)}, coords)


@pytest.mark.parametrize("longitude", ROUND.values(), ids=ROUND)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("box", "columns"), BOXES, ids=str)
def test_select_nino34_and_a_box_of_damped_persistence_take_the_same_cells(
    longitude: np.ndarray, descending: bool, box: tuple[float, float], columns: int
) -> None:
    latitude = np.arange(-27.5, 30, 5)[:: -1 if descending else 1]
    data = field(longitude, latitude, ("sample", "lead"))
    chosen = Select(latitude=(-5, 5), longitude=box).apply(data, NONE)["t"]
    assert chosen.shape[-2:] == (2, columns)
    east = (chosen.longitude.values - box[0]) % 360
    assert (np.diff(east) > 0).all(), "from west to east"
    cells = Nino34Skill(longitude=box, months=1)._box(data["t"])
    np.testing.assert_array_equal(np.sort(data["t"].isel(cells).values.ravel()), np.sort(chosen.values.ravel()))
    index = _predictor(data["t"], 1, {"latitude": (-5.0, 5.0), "longitude": box})
    assert index.item() == pytest.approx(float(chosen.mean()), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(-360, 360), st.integers(0, 340), st.sampled_from(["f4", "f8"]), st.sampled_from([-1e-5, 0.0, 1e-5]))
def test_an_edge_is_an_edge_in_single_precision(west: int, width: int, kind: str, off: float) -> None:
    """189.99999 is 190, on either side and in either count."""
    for first in (0.0, -180.0):
        exact = first + np.arange(0.0, 360.0, 5.0)
        found = _box.eastward((exact + off).astype(kind), west, west + width)
        expected = {each for each in exact.tolist() if (each - west) % 360 <= width}
        assert {float(exact[i]) for i in found} == expected


def test_latitudes_and_levels_have_a_tolerance_too() -> None:
    latitude = np.array([-4.9999995, 0, 5.0000005], "f4")
    data = field(np.array([189.99999, 200, 240.00001], "f4"), latitude, ("sample", "lead"))
    assert Select(latitude=(-5, 5), longitude=(190, 240)).apply(data, NONE)["t"].size == 9
    assert all(len(each) == 3 for each in Nino34Skill()._box(data["t"]).values())
    levels = xr.Dataset({"t": ("level", np.arange(3))}, {"level": np.array([0.1, 0.2, 0.3], "f4")})
    assert Select(ranges={"level": (0.1, 0.2)}).apply(levels, NONE).sizes["level"] == 2


def test_an_edge_of_whole_numbers_has_none() -> None:
    steps = xr.Dataset({"t": ("model", np.arange(30))}, {"model": np.arange(30)})
    assert list(Select(ranges={"model": (3, 5)}).apply(steps, NONE)["model"]) == [3, 4, 5]


def test_the_skill_is_the_same_on_either_grid() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(20, 3, 4, 72))
    estimate = truth + 0.5 * generator.normal(size=truth.shape)
    dims, latitude = ("sample", "lead", "latitude", "longitude"), [-7.5, -2.5, 2.5, 7.5]

    def on(values: np.ndarray, longitude: np.ndarray) -> xr.Dataset:
        at = np.argsort(ROUND["0 to 360"] if longitude[0] > 0 else (ROUND["0 to 360"] + 180) % 360)
        return xr.Dataset({"t": (dims, values[..., at])}, {"latitude": latitude, "longitude": longitude})

    found = [
        float(score(Nino34Skill(longitude=box), on(estimate, grid), on(truth, grid)).overall)
        for grid in ROUND.values()
        for box in ((170, -120), (170, 240))
    ]
    np.testing.assert_allclose(found, found[0], rtol=1e-12)
    assert 0.5 < found[0] < 0.99


@pytest.mark.parametrize("longitude", ROUND.values(), ids=ROUND)
@pytest.mark.parametrize("box", [(172.5, -172.5), (352.5, 7.5)])
def test_blocks_across_the_seam_lie_where_their_cells_do(longitude: np.ndarray, box: tuple[float, float]) -> None:
    """The mean of 177.5 and -177.5 is 180, not 0."""
    data = Select(longitude=box).apply(field(longitude, np.array([-2.5, 2.5])), NONE)
    made = Coarsen(variable="t", factor=2).apply(data, NONE)["t_coarse"]
    expected = (box[0] + np.array([2.5, 12.5])) % 360
    np.testing.assert_allclose(made["longitude_coarse"] % 360, expected)
    low, high = (0, 360) if longitude[0] > 0 else (-180, 180)
    assert ((made["longitude_coarse"] >= low) & (made["longitude_coarse"] < high)).all()


@pytest.mark.parametrize("longitude", [np.arange(0, 361, 10.0), np.arange(-180, 181, 10.0), np.arange(0, 361, 10)])
@pytest.mark.parametrize(("box", "columns"), [((0, 360), 36), ((-180, 180), 36), ((350, 10), 3), ((170, -170), 3)])
def test_a_meridian_that_is_there_twice_counts_once(
    longitude: np.ndarray, box: tuple[float, float], columns: int
) -> None:
    """Grids for maps repeat their first column: across it a box had the order 350, 0, 360, 10."""
    data = field(longitude, np.array([-2.5, 2.5]), ("sample", "lead"))
    chosen = Select(longitude=box).apply(data, NONE)["t"]
    east = (chosen.longitude.values - box[0]) % 360
    assert chosen.sizes["longitude"] == columns and (np.diff(east) > 0).all()
    index = _predictor(data["t"], 1, {"longitude": box})
    assert index.item() == pytest.approx(float(chosen.mean()), abs=1e-9)


def test_an_open_range_of_longitudes_is_refused() -> None:
    data = field(ROUND["0 to 360"], np.array([0.0]))
    with pytest.raises(OptionError, match=r"\[170, None\] has an open end"):
        Select(ranges={"longitude": (170, None)}).apply(data, NONE)


@pytest.mark.parametrize("given", [np.array(3.0), np.array([np.nan, np.nan]), np.array([1, 2])])
def test_a_tolerance_of_little(given: Any) -> None:
    assert 0 <= _box.tolerance(given) < 1e-5
