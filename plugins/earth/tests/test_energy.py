"""The law of bodies that keep their energy: its formula, what keeps it, and where it can be held."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from thalweg import HandshakeError, Registry, Samples, Signature
from thalweg.components.context import context_of
from thalweg.testing import check_enforcer, check_law
from thalweg_earth.datasets import _nbody
from thalweg_earth.datasets.nbody_mnist import NBodyMNIST
from thalweg_earth.laws.energy import Energy
from thalweg_earth.transforms.split import Split
from thalweg_earth.transforms.windows import Windows

TRACKS = ("position", "velocity")


def test_it_keeps_the_contract():
    check_law(Energy())


def test_it_is_the_energy_of_the_dataset():
    random = np.random.default_rng(0)
    position, velocity = random.uniform(10, 118, (4, 5, 3, 2)), random.normal(size=(4, 5, 3, 2))
    np.testing.assert_allclose(Energy().energy(position, velocity), _nbody.energy(position, velocity), rtol=1e-12)


@pytest.mark.parametrize(("law", "keeps"), [("conservative", True), ("published", False)])
def test_the_truth_keeps_it_where_its_motion_does(law, keeps, tmp_path):
    images = np.full((3, 28, 28), 200, np.uint8)
    np.save(tmp_path / "digits.npy", images)
    data = NBodyMNIST(law=law, sizes=(2, 0, 12), digits=str(tmp_path / "digits.npy"), trajectories=True).open()
    data, none = data.drop_vars("frames").load(), xr.Dataset()
    data = Windows(inputs=10, targets=10, over="frame", series="sequence", observe=TRACKS, predict=TRACKS).apply(
        data, none
    )
    samples = Samples.of(Split(by="split", train=(0, 0), test=(2, 2)).apply(data, none), "test")
    truth = samples.truth(slice(0, 12))
    context = context_of(samples.inputs(slice(0, 12)), Signature.of(truth))
    residual = Energy().residual(truth, context, samples.grid).energy
    assert residual.dims == ("sample", "lead") and residual.attrs["units"] == "1"
    share = np.abs(residual / Energy().known(context, samples.grid)["energy"]).max()
    assert share < 1e-3 if keeps else share > 0.02


def test_it_is_held_while_sampling():
    """On the kit's Gaussian fields, as any law that is not linear: to rounding, or nearly."""
    for enforcer in ("conditioned-sampling", {"knowledge-alignment": {"weight": 2.0}}):
        check_enforcer(Registry.installed().make("enforcers", enforcer), (Energy(softening=0.1),))


def test_other_dims_are_refused():
    fields = {"position": (("sample", "lead", "digit", "axis"), np.zeros((1, 2, 3, 2)))}
    fields["velocity"] = (("sample", "lead", "digit"), np.zeros((1, 2, 3)))
    with pytest.raises(HandshakeError, match="positions and velocities"):
        Energy().check(Signature.of(xr.Dataset(fields)))
