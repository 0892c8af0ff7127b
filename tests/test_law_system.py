"""The linear system of laws: arrays of numpy and tensors, members, other orders of dims, and missing cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import Held, LinearLaw, Registry
from thalweg.laws import System, grid_of
from thalweg.testing.gaps import Gaps, Scene

REGISTRY = Registry.installed()

KINDS: dict[str, dict[str, Any]] = {
    "area-mean": {"weights": "equal"},
    "integral": {"dims": ["longitude"], "target": "wall"},
    "block-mean": {"factor": 2},
    "boundary-value": {"dim": "longitude"},
    "boundary-flux": {"dim": "latitude", "order": 2, "target": "last-input"},
    "periodic": {"dim": "longitude"},
}


def law(name: str) -> LinearLaw:
    made = REGISTRY.make("laws", {name: {"variable": "field", **KINDS[name]}}, where=name)
    assert isinstance(made, LinearLaw)
    return made


def dense(part: LinearLaw, field: xr.DataArray, scene: Scene) -> np.ndarray[Any, Any]:
    """The residual as it is defined, cell by cell."""
    rows = part.rows(scene.grid)
    matrix = rows.block({dim: slice(0, scene.grid.sizes[dim]) for dim in rows.dims}).toarray()
    ordered = field.transpose(..., *rows.dims)
    flat = ordered.values.reshape(*ordered.shape[: ordered.ndim - len(rows.dims)], -1).astype(np.float64)
    found = np.full((*flat.shape[:-1], rows.count), np.nan)
    for at in np.ndindex(flat.shape[:-1]):
        for row, weights in enumerate(matrix):
            there = ~np.isnan(flat[at]) & (weights != 0)
            whole = there.sum() == (weights != 0).sum()
            if there.any() and (whole or rows.gaps != "void"):
                share = weights[there].sum() if rows.gaps == "mean" else 1.0
                found[(*at, row)] = (weights[there] @ flat[at][there]) / share
    targets = part.targets(scene.context, scene.grid)
    held = xr.DataArray(found, dims=(*ordered.dims[: flat.ndim - 1], "row"))
    return np.asarray((held - targets.drop_vars(list(targets.coords))).transpose(*held.dims))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 10**6), st.floats(0.0, 0.6))
def test_the_residual_is_what_it_is_defined_to_be(name: str, seed: int, share: float) -> None:
    """Of fields, of arrays and of tensors, with cells missing anywhere."""
    scene, part = Scene.of(Gaps("any"), seed=seed), law(name)
    draw = np.random.default_rng(seed)
    mask = draw.random((3, 1, 4, 8)) < share
    field = scene.estimate["field"].astype("float64").where(~mask)
    expected = dense(part, field, scene)
    found = part.residual(field.to_dataset(), scene.context, scene.grid)["field"].transpose("sample", "lead", ...)
    order = [dim for dim in found.dims if dim != "row"]
    np.testing.assert_allclose(found.transpose(*order, "row"), expected, atol=1e-10)

    system = System.of([part], scene.grid)
    axes = [("sample", "lead", "latitude", "longitude").index(dim) for dim in (*system.outer, *system.dims)]
    there = np.broadcast_to(~mask, field.shape).transpose(0, *axes)
    there = there.reshape(3, *(system.sizes[dim] for dim in system.outer), system.cells)
    known = system.known(scene.context, scene.grid, there)
    for values in (field.values, torch.from_numpy(field.fillna(7.0).values)):
        tensors = isinstance(values, torch.Tensor)
        told = {key: torch.from_numpy(np.ascontiguousarray(each)) if tensors else each for key, each in known.items()}
        gap, said = system.residual(values, field.dims, told)
        wanted = np.nan_to_num(expected)
        np.testing.assert_allclose(np.asarray(gap), wanted, atol=1e-10)
        assert (np.asarray(said) * np.ones(gap.shape) > 0).tolist() == (~np.isnan(expected)).tolist()


def test_members_and_other_orders_of_dims() -> None:
    scene = Scene.of(Gaps("land", land=((1, 3),)))
    for name in KINDS:
        system = System.of([law(name)], scene.grid)
        known = system.known(scene.context, scene.grid)
        field = scene.estimate["field"].fillna(1.0)
        one, _ = system.residual(field.values, field.dims, known)
        both = np.stack([field.values, field.values + 1], 1)
        two, _ = system.residual(both, ("sample", "member", *field.dims[1:]), known)
        np.testing.assert_allclose(two[:, 0], one)
        turned = field.transpose("lead", "longitude", "sample", "latitude")
        other, _ = system.residual(turned.values, turned.dims, known)
        _, before = system.arrange(turned.values, turned.dims)
        _, straight = system.arrange(field.values, field.dims)
        np.testing.assert_allclose(
            xr.DataArray(other, dims=(*before, "row")).transpose(*straight, "row"), one, rtol=1e-12, atol=1e-10
        )
        flat, lead = system.arrange(turned.values, turned.dims)
        np.testing.assert_array_equal(system.back(flat, lead, turned.dims), turned.values)


def test_what_says_nothing_has_no_gradient() -> None:
    scene = Scene.of(Gaps("land", land=((1, 0), (2, 5))))
    system = System.of([law("boundary-value"), law("block-mean")], scene.grid)
    there = ~np.isnan(scene.estimate["field"].values[:1, :1]).reshape(1, 1, -1)
    known = {key: torch.from_numpy(each) for key, each in system.known(scene.context, scene.grid, there).items()}
    field = torch.from_numpy(scene.estimate["field"].values).requires_grad_()
    gap, _ = system.residual(field, scene.estimate["field"].dims, known)
    (slope,) = torch.autograd.grad(gap.square().sum(), field)
    assert bool(torch.isfinite(slope).all()) and bool((slope[..., 1, 0] == 0).all())


def test_a_grid_is_described_when_it_travels() -> None:
    """Not as many bytes as a sample has."""
    import pickle

    field = xr.DataArray(np.broadcast_to(np.float32(0), (2, 12, 384, 384)), dims=("sample", "lead", "y", "x"))
    static = xr.Dataset({"area": (("y",), np.arange(384.0)), "depth": ((), 3.0)})
    held = Held((law("periodic"),), grid_of(field.to_dataset(name="field"), static))
    text = pickle.dumps(held)
    again = pickle.loads(text)
    assert len(text) < 64_000
    xr.testing.assert_identical(again.grid, held.grid)
    assert again.laws == held.laws and float(again.grid["depth"]) == 3.0


@pytest.mark.parametrize("name", ["area-mean", "boundary-flux"])
def test_a_grid_has_static_fields_and_no_sample(name: str) -> None:
    scene = Scene.of(Gaps("any"))
    assert "sample" not in scene.grid.dims and float(scene.grid["area"].min()) > 0
    assert not any(scene.grid["field"].values.strides)
    assert law(name).rows(scene.grid).count >= 1
