"""Members in one pass, learned by the score of two of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from showers import INPUT, LEADS, SIZE, TINY, TRAIN, WANTED, learned, with_members
from thalweg import HandshakeError
from thalweg.losses import Absolute
from thalweg.testing import check_method
from thalweg_prediff.crps_nowcast import CRPSNowcast

SMALL: dict[str, Any] = {"noise_fields": 2, "noise_vector": 4}


@pytest.fixture(scope="module")
def solver(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return learned(CRPSNowcast, tmp_path_factory.mktemp("crps"), **SMALL)


def test_it_keeps_the_contract() -> None:
    check_method(CRPSNowcast(members=2, units=(4,), blocks=1, fold=1, **SMALL))


def test_members_are_rain_and_apart(solver: Any) -> None:
    found = solver.solve(INPUT, WANTED).rain
    assert dict(found.sizes) == {"sample": 2, "member": 3, "lead": LEADS, "y": SIZE, "x": SIZE}
    assert float(found.min()) == 0.0 and float(found.std("member").mean()) > 0.1


def test_a_member_alone_is_the_same_bits(solver: Any) -> None:
    together = with_members(solver, 6).solve(INPUT, WANTED).rain
    xr.testing.assert_identical(together.isel(member=slice(0, 3)), solver.solve(INPUT, WANTED).rain)
    one_by_one = with_members(solver, 3, batch=1).solve(INPUT, WANTED).rain
    xr.testing.assert_identical(together.isel(member=slice(0, 3)), one_by_one)


def test_the_noise_of_the_network_moves_its_members(solver: Any) -> None:
    """Not their motion alone."""
    still = with_members(solver, 3)
    still.network.learner.__dict__["spread"] = 0.0
    found = still.solve(INPUT, WANTED).rain
    assert float(found.std("member").mean()) > 1e-4


def test_it_learns_the_residuals_size(solver: Any) -> None:
    assert 0.0 < float(solver.state["size"]) < 0.5
    assert (float(solver.state["level"]), float(solver.state["gap"])) == (0.0, np.float32(0.1))


def test_its_loss_is_almost_fair_and_may_be_another_of_members() -> None:
    learner = CRPSNowcast(**{**TINY, **SMALL})
    loss = learner.check_options({}).loss
    assert loss is not None
    truth, members = torch.zeros(1, 1), torch.tensor([[[1.0], [3.0]]])
    assert float(loss.value(members, truth)) == pytest.approx(2.0 - 0.97)
    with pytest.raises(HandshakeError, match=r"(?i)absolute"):
        learner.demand(TRAIN.given, TRAIN.wanted, {"loss": Absolute()})
