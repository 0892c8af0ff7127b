"""Members that are carried along motions of their own."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from thalweg import Field, Signature
from thalweg.testing import check_method, series, windowed
from thalweg_earth.methods.advection import Advection
from thalweg_earth.methods.perturbed_advection import PerturbedAdvection

ROW, COLUMN = np.indices((32, 32), dtype=np.float64)


def echo(row: float, column: float) -> np.ndarray:
    return 100 * np.exp(-((ROW - row) ** 2 + (COLUMN - column) ** 2) / 18)


def inputs(samples: int = 2) -> xr.Dataset:
    """An echo that moves a cell a step along x, from another row in each sample."""
    frames = np.stack([[echo(12 + 2 * s, 8 + t) for t in range(5)] for s in range(samples)])
    return xr.Dataset(
        {"rain": (("sample", "lead", "y", "x"), frames.astype("float32"), {"units": "mm h-1"})},
        {"lead": np.arange(-4, 1), "reference_time": ("sample", np.arange(samples))},
    )


WANTED = Signature((Field("rain", ("sample", "lead", "y", "x")),), {"sample": 2, "lead": 4, "y": 32, "x": 32})


def place(fields: xr.DataArray) -> xr.Dataset:
    """Where the middle of an echo is."""
    return xr.Dataset(
        {name: (fields * at).sum(["y", "x"]) / fields.sum(["y", "x"]) for name, at in (("y", ROW_), ("x", COLUMN_))}
    )


ROW_, COLUMN_ = (xr.DataArray(each, dims=("y", "x")) for each in (ROW, COLUMN))


def test_members_are_the_advection_without_spread() -> None:
    given = inputs()
    members = PerturbedAdvection(spread=0.0, members=2).solve(given, WANTED)
    plain = Advection().solve(given, WANTED)
    for member in range(2):
        xr.testing.assert_identical(members.isel(member=member, drop=True), plain)


def test_each_member_is_moved_by_its_own_vector() -> None:
    given = inputs(1)
    found = place(PerturbedAdvection(spread=0.3, members=40, smoothing=0.0).solve(given, WANTED)["rain"])
    plain = place(Advection(smoothing=0.0).solve(given, WANTED)["rain"])
    moved = (found - plain).isel(sample=0)
    for name in ("y", "x"):
        by_lead = moved[name] / moved["lead"]
        # Steady: a member's displacement grows with the lead.
        np.testing.assert_allclose(by_lead.isel(lead=3), by_lead.isel(lead=0), atol=0.05)
        assert float(by_lead.isel(lead=0).std()) == pytest.approx(0.3, rel=0.3)
        assert float(by_lead.mean()) == pytest.approx(0.0, abs=0.15)


def test_a_member_is_the_same_alone_and_beside_others() -> None:
    given = inputs(3)
    few, many = (PerturbedAdvection(members=count, seed=1) for count in (2, 5))
    whole = many.solve(given, WANTED)
    xr.testing.assert_equal(few.solve(given.isel(sample=[2]), WANTED), whole.isel(sample=[2], member=slice(0, 2)))
    other = PerturbedAdvection(members=5, seed=2).solve(given, WANTED)
    assert not other.equals(whole)


def test_missing_cells_stay_missing() -> None:
    given = inputs(1)
    given["rain"][..., :3] = np.nan
    found = PerturbedAdvection(members=2).solve(given, WANTED)["rain"]
    assert bool(found[..., :3].isnull().all())
    assert bool(found[..., 10:].notnull().any())


def test_the_plan_knows_the_members() -> None:
    gives = PerturbedAdvection(members=7).gives(Signature(), WANTED)
    assert gives.sizes["member"] == 7
    assert gives["rain"].dims[:2] == ("sample", "member")


def test_conformance() -> None:
    check_method(PerturbedAdvection(members=2, empty=0.0), windowed(series()))
