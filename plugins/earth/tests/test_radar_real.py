"""Six services' own files: as a peer's readers read them, and an hour of each as a nowcast by advection.

The numbers of `PEER` are those of the importers of pysteps 1.21.5 on the same files, run outside of this project:
`import_opera_hdf5(qty="RATE")`, `import_knmi_hdf5(qty="ACRR")`, `import_bom_rf3`, `import_saf_crri`,
`import_mrms_grib(window_size=1)`. Its importer of FMI takes scale and codes for granted; there they are the file's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from thalweg import Registry, scalars
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg_earth.datasets.radar import Radar

ROOT = Path(__file__).resolve().parents[3]
WILD = Path(os.environ.get("THALWEG_SHARED", ROOT.parent / "shared")) / "data" / "radar" / "wild"
REGISTRY = Registry.installed()

pytestmark = [
    pytest.mark.skipif(not WILD.exists(), reason="the shared radar files are not there"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

# sum, missing cells, maximum, and its row and column
PEER: dict[str, tuple[str, dict[str, Any], float, int, float, tuple[int, int]]] = {
    "opera": ("*180000.hdf", {"quantity": "RATE"}, 304024.06, 2085857, 1205.22, (407, 391)),
    "knmi": ("*0005.h5", {}, 4366.44, 398271, 0.62, (486, 362)),
    "bom": ("*100000*.nc", {}, 3870.0, 0, 3.2, (194, 235)),
    "saf": ("*070000Z.nc", {"quantity": "crr_intensity"}, 97576.0017, 378486, 34.1, (312, 1276)),
    "mrms": ("*-000000.grib2", {}, 2126764.0, 8769493, 148.8, (2191, 4371)),
}
# outer edges of the grid in metres, left, right, bottom, top; BOM's coordinates are those of the cells
EDGES = {
    "opera": (0.0, 3.8e6, -4.4e6, 0.0),
    "knmi": (0.0, 7.0e5, -4.415e6, -3.65e6),
    "bom": (-128250.0, 127750.0, -127750.0, 128250.0),
    "saf": (-3301500.0, 3298500.0, 2512500.0, 5569500.0),
}


@pytest.mark.parametrize("service", PEER)
def test_fields_are_those_that_a_peer_reads(service: str) -> None:
    pattern, options, total, missing, most, at = PEER[service]
    data = Radar(path=str(WILD / service / pattern), **options).open()
    (array,) = data.data_vars.values()
    field = array.values[0].astype(np.float64)
    assert np.nansum(field) == pytest.approx(total, rel=1e-6)
    assert int(np.isnan(field).sum()) == missing
    assert float(np.nanmax(field)) == pytest.approx(most, rel=1e-6)
    assert np.unravel_index(np.nanargmax(field), field.shape) == at
    assert np.nanmin(field) == 0.0
    if service in EDGES:
        left, right, bottom, top = EDGES[service]
        x, y = data["x"].values, data["y"].values
        half = abs(x[1] - x[0]) / 2
        np.testing.assert_allclose(
            [x[0] - half, x[-1] + half, y[-1] - half, y[0] + half], [left, right, bottom, top], atol=1
        )


def test_opera_keeps_no_rain_apart_from_not_measured() -> None:
    """Counted in the file: -8888000 is no rain, -9999000 is not measured."""
    import h5py

    file = next(iter(sorted((WILD / "opera").iterdir())))
    with h5py.File(file) as content:
        raw = content["dataset1/data1/data"][:]
    field = Radar(path=str(file), quantity="RATE").open()["rain_rate"].values[0]
    assert (raw == -8888000).sum() > 1_000_000
    assert (field[raw == -8888000] == 0).all()
    assert np.isnan(field[raw == -9999000]).all()
    assert int(np.isnan(field).sum()) == int((raw == -9999000).sum())


def test_corners_are_where_the_files_put_them() -> None:
    opera = Radar(path=str(WILD / "opera" / "*180000.hdf"), quantity="RATE").open()
    # LL_lon, LL_lat of `where` is the outer corner of the cell: half a diagonal away from its centre.
    assert float(opera["latitude"][-1, 0]) == pytest.approx(31.746, abs=0.02)
    assert float(opera["longitude"][-1, 0]) == pytest.approx(-10.4346, abs=0.02)
    knmi = Radar(path=str(WILD / "knmi" / "*0005.h5")).open()
    corners = [(0, 0), (0, -1), (-1, -1), (-1, 0)]
    places = [(55.974, 0.0), (55.389, 10.856), (48.895, 9.009), (49.362, 0.0)]  # geo_product_corners
    found = [(float(knmi["latitude"][i, j]), float(knmi["longitude"][i, j])) for i, j in corners]
    np.testing.assert_allclose(found, places, atol=0.01)
    bom = Radar(path=str(WILD / "bom" / "*100000*.nc")).open()
    at = bom.sel(x=0, y=0)
    assert (float(at["latitude"]), float(at["longitude"])) == pytest.approx((-37.852, 144.752), abs=1e-4)
    saf = Radar(path=str(WILD / "saf"), quantity="crr_intensity", box={"y": (2514000, 2514000)}).open()
    assert float(np.nanmin(saf["latitude"])) == pytest.approx(23.78, abs=0.05)  # geospatial_lat_min


def test_fmi_is_read_by_its_own_metadata() -> None:
    pytest.importorskip("rasterio")
    data = Radar(path=str(WILD / "fmi")).open()
    assert data["reflectivity"].sizes == {"time": 2, "y": 7316, "x": 4963}
    assert str(data["time"].values[1])[:16] == "2017-05-09T10:50"
    part = Radar(path=str(WILD / "fmi"), box={"x": (3.5e5, 4.5e5), "y": (6.85e6, 6.95e6)}).open()
    field = part["reflectivity"].values[0]
    assert field.min() == -32.0
    assert 30 < field.max() < 60
    assert float(part["latitude"].mean()) == pytest.approx(62.2, abs=0.2)


def test_times_of_the_hour() -> None:
    steps = {"bom": (30, 6), "knmi": (30, 5), "opera": (3, 15), "mrms": (3, 2), "saf": (2, 15), "fmi": (2, 5)}
    for service, (count, minutes) in steps.items():
        quantity = {"opera": "RATE", "saf": "crr_intensity"}.get(service, "")
        times = Radar(path=str(WILD / service), quantity=quantity).open()["time"].values
        assert times.size == count
        assert (np.diff(times) == np.timedelta64(minutes, "m")).all()


# --- an hour of each, as a nowcast


def scores(service: str, path: Path, store: Path, *overrides: str) -> dict[str, dict[str, float]]:
    recipe = ROOT / "recipes" / f"nowcast-{service}.yaml"
    assert len(recipe.read_text().splitlines()) <= 15
    made = plans(recipe, overrides=[f"ingest.path={path}", *overrides], registry=REGISTRY, store=str(store))
    done = {plan.method.name: execute(plan, registry=REGISTRY) for plan in made}
    assert set(done) == {"persistence", "advection"}
    return {name: scalars(each.records()) for name, each in done.items()}


@pytest.mark.parametrize(
    ("service", "files", "box"),
    [
        ("bom", "*_1[01]*.nc", "{x: [-6.4e4, 6.4e4], y: [-1.28e5, -1.0e4]}"),
        ("knmi", "*0826[01][0-2]*.h5", "{x: [2.5e5, 4.5e5], y: [-4.2e6, -4.05e6]}"),
        ("opera", "*.hdf", "{x: [2.0e6, 2.5e6], y: [-3.0e6, -2.5e6]}"),
    ],
)
def test_advection_beats_persistence(service: str, files: str, box: str, tmp_path: Path) -> None:
    once = [] if service == "opera" else ["preprocess.0.windows.stride=10"]
    found = scores(service, WILD / service / files, tmp_path, f"ingest.box={box}", *once)
    assert found["advection"]["free/csi/mean"] > found["persistence"]["free/csi/mean"] + 0.02
    assert found["advection"]["free/mae"] < found["persistence"]["free/mae"]


def test_two_minutes_are_too_short_for_advection(tmp_path: Path) -> None:
    """Storms move less than half a cell of MRMS in two minutes, so persistence is better, and both are good."""
    found = scores("mrms", WILD / "mrms", tmp_path)
    assert found["persistence"]["free/csi/mean"] > 0.75
    assert 0.6 < found["advection"]["free/csi/mean"] < found["persistence"]["free/csi/mean"]


# Of FMI and SAF there are two files: the later steps are the second one, moved by a whole number of cells a step.


def test_fmi_hour(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.windows import Window

    folder = tmp_path / "fmi"
    folder.mkdir()
    with rasterio.open(WILD / "fmi" / "201705091050_FINUTM.tif") as file:
        window = Window(2200, 4400, 240, 240)
        wide = file.read(1, window=Window(2180, 4400, 260, 240))
        profile = {**file.profile, "width": 240, "height": 240, "transform": file.window_transform(window)}
        tags = file.tags()["GDAL_METADATA"]
    for step, clock in enumerate(("1045", "1050", "1055", "1100")):
        with rasterio.open(folder / f"20170509{clock}_FINUTM.tif", "w", **profile) as file:
            file.write(wide[:, 20 - 3 * step : 260 - 3 * step], 1)
            file.update_tags(
                GDAL_METADATA=tags.replace("201705091045", f"20170509{clock}").replace(
                    "201705091050", f"20170509{clock}"
                )
            )
    found = scores("fmi", folder, tmp_path / "store", "ingest.box={}", "preprocess.2.windows.targets=2")
    assert found["advection"]["free/csi/mean"] > found["persistence"]["free/csi/mean"] + 0.1


def test_saf_hour(tmp_path: Path) -> None:
    import h5py

    folder = tmp_path / "saf"
    folder.mkdir()
    source = WILD / "saf" / "S_NWC_CRR_MSG4_Europe-VISIR_20180601T071500Z.nc"
    for step, clock in enumerate(("0700", "0715", "0730", "0745")):
        copy = folder / f"S_NWC_CRR_MSG4_Europe-VISIR_20180601T{clock}00Z.nc"
        shutil.copy(source, copy)
        copy.chmod(0o644)
        with h5py.File(copy, "a") as file:
            file.attrs["nominal_product_time"] = np.bytes_(f"2018-06-01T{clock[:2]}:{clock[2:]}:00Z")
            file["crr_intensity"][...] = np.roll(file["crr_intensity"][...], 3 * step, axis=1)
    box = "ingest.box={x: [0, 9.0e5], y: [4.2e6, 4.8e6]}"
    found = scores("saf", folder, tmp_path / "store", box, "preprocess.0.windows.targets=2")
    assert found["advection"]["free/csi/mean"] > found["persistence"]["free/csi/mean"] + 0.1


@pytest.mark.parametrize("service", ["bom", "knmi", "opera", "mrms", "fmi", "saf"])
def test_recipes_are_short(service: str) -> None:
    text = (ROOT / "recipes" / f"nowcast-{service}.yaml").read_text()
    assert len(text.splitlines()) <= 15
    assert "radar" in yaml.safe_load(text)["ingest"]
