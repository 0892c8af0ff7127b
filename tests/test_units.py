"""Units by meaning: what UDUNITS knows, what it takes for something else, and what has no conversion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, quantities
from thalweg.components.signature import Field, Signature, shake
from thalweg.quantities.sphere import cosine_of_latitude, find_axis, in_degrees
from thalweg.quantities.units import canonical_units, conversion, explained, is_difference, same_units


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("m s**-1", "m/s"),
        ("m s-1", "meters second-1"),
        ("degK", "K"),
        ("Kelvin", "K"),
        ("celsius", "deg C"),
        ("degrees C", "degree_Celsius"),
        ("C", "°C"),
        ("mm/hr", "mm h-1"),
        ("kg m**-2 s**-1", "kg/m2/s"),
        ("W m**-2", "J s-1 m-2"),
        ("mb", "hPa"),
        ("millibars", "hPa"),
        ("gpm", "m"),
        ("", "1"),
        ("none", "dimensionless"),
        ("(0 - 1)", "1"),
        ("m**3 m**-3", "1"),
        ("psu", "g kg-1"),
        ("degrees_north", "degrees"),
    ],
)
def test_spellings_of_one_unit_are_the_same(one: str, other: str) -> None:
    assert same_units(one, other) and same_units(other, one)
    assert conversion(one, other) == (1.0, 0.0) or conversion(one, other) == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize(
    ("one", "other"),
    [("K", "degC"), ("Pa", "hPa"), ("kg m-2 s-1", "mm h-1"), ("dBZ", "1"), ("m", "s"), ("1", "%"), ("glob", "blob")],
)
def test_other_units_are_not_the_same(one: str, other: str) -> None:
    assert not same_units(one, other)


def test_there_is_one_spelling_per_unit() -> None:
    assert canonical_units(" m  s**-1 ") == canonical_units("m/s") == "m s-1"
    assert canonical_units("Celsius") == "degC"
    assert canonical_units("degrees_north") == "degrees_north"
    assert canonical_units("days since 1970-01-01") == "days since 1970-01-01"
    assert canonical_units("counts") == "counts"
    assert canonical_units("a unit of ours") == "a unit of ours"


def test_conversions_are_lines() -> None:
    assert conversion("Pa", "hPa") == pytest.approx((0.01, 0.0))
    assert conversion("degC", "K") == pytest.approx((1.0, 273.15))
    assert conversion("degF", "degC", difference=True) == pytest.approx((5 / 9, 0.0))
    assert conversion("m s-1", "mm/hr") == pytest.approx((3.6e6, 0.0))


@pytest.mark.bad_input("sources", "units asked for that there is no conversion to: {id}")
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param("kg m-2 s-1", "mm h-1", id="a mass flux to a rain rate"),
        pytest.param("dBZ", "mm6 m-3", id="a logarithm to what it is the logarithm of"),
        pytest.param("months since 1960-01-01", "days since 1960-01-01", id="months to days"),
        pytest.param("K", "m", id="a temperature to a length"),
    ],
)
def test_what_has_no_conversion_gets_none(given: str, wanted: str) -> None:
    assert conversion(given, wanted) is None


def test_what_is_read_otherwise_than_udunits_does_is_said() -> None:
    assert explained("mb") == "units 'mb' are read as 'hPa'"
    assert explained("hPa") == explained("none") == explained("m/s") == ""


def test_differences_are_told_from_temperatures() -> None:
    assert is_difference(xr.DataArray(0.0, name="t", attrs={"long_name": "SST anomaly"}))
    assert is_difference(xr.DataArray(0.0, name="t", attrs={"units_metadata": "temperature: difference"}))
    assert not is_difference(xr.DataArray(0.0, name="t", attrs={"units_metadata": "temperature: on_scale"}))
    assert not is_difference(xr.DataArray(0.0, name="t2m", attrs={"long_name": "2 metre temperature"}))


def test_hands_are_shaken_over_units_by_meaning() -> None:
    given = Signature((Field("u", units="m s-1"),))
    shake(given, Signature((Field("u", units="m/s"),)), giver="a", taker="b")
    with pytest.raises(HandshakeError, match="gives it with units 'm s-1', not 'km h-1'"):
        shake(given, Signature((Field("u", units="km h-1"),)), giver="a", taker="b")


def test_cf_units_is_imported_where_spellings_differ_only() -> None:
    probe = (
        "import sys; from thalweg.quantities.units import *; "
        "assert same_units('m s-1', 'm s-1') and canonical_units('Celsius'.lower() and 'degC') == 'degC'; "
        "assert conversion('K', 'K') == (1.0, 0.0); print('cf_units' in sys.modules); "
        "same_units('m/s', 'm s-1'); print('cf_units' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


# --- latitudes


DEGREES = np.array([-87.5, -40.0, 0.0, 12.5, 90.0])


def latitude(values: np.ndarray, **attrs: str) -> xr.DataArray:  # type: ignore[type-arg]
    return xr.DataArray(values, dims="y", name="latitude", attrs=attrs)


@pytest.mark.parametrize(
    ("values", "units"),
    [
        (DEGREES, "degrees_north"),
        (DEGREES, "degrees"),
        (DEGREES, "degree_N"),
        (DEGREES, "degrees N"),
        (DEGREES, ""),
        (-DEGREES, "degrees_south"),
        (np.deg2rad(DEGREES), "radians"),
        (np.deg2rad(DEGREES).astype("f4"), "rad"),
        (DEGREES * 60, "arc_minute"),
    ],
)
def test_a_latitude_weighs_the_same_in_any_units(values: np.ndarray, units: str) -> None:  # type: ignore[type-arg]
    given = latitude(values, **({"units": units} if units else {}))
    np.testing.assert_allclose(in_degrees(given, "latitude"), DEGREES, atol=1e-5)
    np.testing.assert_allclose(cosine_of_latitude(given), np.cos(np.deg2rad(DEGREES)), atol=1e-6)


@pytest.mark.bad_input("sources", "a grid whose latitude is {id}, weighed by area")
@pytest.mark.parametrize(
    ("values", "units", "message"),
    [
        pytest.param(DEGREES * 1e5, "m", "units 'm', which are no angle", id="in metres of a projection"),
        pytest.param(DEGREES, "degrees_east", "units 'degrees_east', which are not of a latitude", id="a longitude"),
        pytest.param(DEGREES * 2, "", "goes to 180 degrees", id="beyond the poles"),
        pytest.param(DEGREES, "radians", "goes to 5156.62 degrees", id="in degrees, and declared to be radians"),
    ],
)
def test_what_is_no_latitude_is_refused(values: np.ndarray, units: str, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(HandshakeError, match=message):
        cosine_of_latitude(latitude(values, **({"units": units} if units else {})))


def test_cells_without_a_latitude_weigh_nothing() -> None:
    grid = latitude(np.array([0.0, np.nan, 60.0]), units="degrees_north")
    np.testing.assert_allclose(cosine_of_latitude(grid), [1, 0, 0.5])


def test_an_axis_is_found_as_cf_says() -> None:
    grid = xr.Dataset(coords={"j": ("j", DEGREES, {"units": "degree_N"}), "Lon": ("i", DEGREES)})
    grid["other"] = xr.DataArray(DEGREES, dims="j", attrs={"standard_name": "latitude"})
    found, bare = find_axis(grid, "latitude"), find_axis(grid.set_coords("other"), "latitude")
    assert found is not None and found.name == "j"
    assert bare is not None and bare.name == "other"
    other = find_axis(grid, "longitude")
    assert other is not None and other.name == "Lon"
    assert find_axis(xr.Dataset(coords={"x": [1.0]}), "latitude") is None


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ("0.1 degC", "degC", (0.1, 0.0)),
        ("0.1 degC", "K", (0.1, 273.15)),
        ("10 celsius", "degC", (10.0, 0.0)),
        ("0.01 degF", "degF", (0.01, 0.0)),
        ("0.1 K", "K", (0.1, 0.0)),
        ("0.1 K", "degC", (0.1, -273.15)),
        ("degC*10", "degC", None),
        ("degC", "0.1 degC", None),
    ],
)
def test_parts_of_a_degree_count_from_where_the_degree_does(
    given: str, wanted: str, expected: tuple[float, float] | None
) -> None:
    """UDUNITS takes `0.1 degC` for tenths of a kelvin: 200 of them would be -253 degC instead of 20."""
    assert conversion(given, wanted) == (None if expected is None else pytest.approx(expected))
    assert conversion("0.1 degC", "K", difference=True) == pytest.approx((0.1, 0.0))


def test_strings_that_a_store_gave_back_are_texts(tmp_path: Path) -> None:
    from thalweg.stores.arrays import lay_out, read

    lay_out(str(tmp_path / "a"), xr.Dataset(coords={"event": ("sample", np.array(["é", "storm"], object))}), large={})
    back = read(str(tmp_path / "a"))["event"].values
    assert quantities.texts(back).tolist() == ["é", "storm"]
    assert quantities.texts(np.array([1, 2])).tolist() == ["1", "2"]
    assert quantities.texts(np.array(["2001-02-03"], "datetime64[D]")).tolist() == ["2001-02-03"]
