"""The flow's preconditioning, its coloured noise and its small network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from thalweg.errors import HandshakeError, OptionError
from thalweg_prediff import flow
from thalweg_prediff.coloured import Colour
from thalweg_prediff.plane_unet import PlaneUNet


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_what_is_wanted_gives_the_clean_field_back():
    clean, noise, time = normal(5, 3, 4, 4), normal(5, 3, 4, 4, seed=1), torch.tensor([0.01, 0.3, 0.5, 0.7, 0.99])
    state = flow.noisy(clean, noise, time)
    torch.testing.assert_close(flow.estimate(flow.wanted(clean, state, time), state, time), clean)


def test_the_network_is_given_and_gives_variance_one():
    clean, noise = normal(20_000, 1), normal(20_000, 1, seed=1)
    for t in (0.05, 0.5, 0.95):
        time = torch.full((20_000,), t)
        state = flow.noisy(clean, noise, time)
        assert float(flow.fed(state, time).var()) == pytest.approx(1.0, abs=0.03)
        left = flow.wanted(clean, state, time)
        assert float(left.var()) == pytest.approx(1.0, abs=0.03)
        # Nothing that is linear in the state is left to learn.
        assert float((left * state).mean()) == pytest.approx(0.0, abs=0.03)


def test_noise_gets_the_covariance_of_the_fields():
    random = np.random.default_rng(0)
    white = random.standard_normal((4000, 2, 8, 8))
    # Smooth in space, and the second lead is half the first, moved by a cell.
    smooth = white + np.roll(white, 1, -1) + np.roll(white, 1, -2)
    fields = np.stack([smooth[:, 0], 0.5 * np.roll(smooth[:, 0], 1, -1) + 0.5 * smooth[:, 1]], 1)
    colour = Colour(2, 8, 8)
    colour.learn(np.array_split(fields, 7))
    found = colour(torch.randn(4000, 2, 8, 8, generator=torch.Generator().manual_seed(0))).numpy()

    def moments(each: np.ndarray) -> np.ndarray:
        near, moved = np.roll(each, 1, -1), np.roll(each[:, 0], 1, -1)
        return np.array(
            [
                each[:, 0].var(),
                each[:, 1].var(),
                (each * near).mean(),
                (each[:, 0] * each[:, 1]).mean(),
                (moved * each[:, 1]).mean(),
            ]
        )

    np.testing.assert_allclose(moments(found), moments(fields), rtol=0.04)


def test_colour_is_white_before_it_learns_and_comes_back_from_its_state():
    noise = torch.randn(3, 2, 6, 7)
    torch.testing.assert_close(Colour(2, 6, 7)(noise), noise)
    learned = Colour(2, 6, 7)
    learned.learn([np.random.default_rng(0).standard_normal((50, 2, 6, 7))])
    again = Colour(2, 6, 7)
    again.load_state_dict(learned.state_dict())
    assert torch.equal(again(noise), learned(noise))


def test_gaps_do_not_spoil_the_colour():
    fields = np.random.default_rng(0).standard_normal((50, 2, 6, 6))
    fields[:, :, 0, 0] = np.nan
    colour = Colour(2, 6, 6)
    colour.learn([fields])
    assert torch.isfinite(colour.factors).all()


def test_noise_of_another_size_and_nothing_to_learn_from_are_refused():
    with pytest.raises(HandshakeError, match=r"noise of \(2, 5, 5\)"):
        Colour(2, 6, 6)(torch.zeros(1, 2, 5, 5))
    with pytest.raises(HandshakeError, match="no field"):
        Colour(2, 6, 6).learn([])


def test_a_new_network_gives_nothing_and_then_learns():
    torch.manual_seed(0)
    network = PlaneUNet(3, 2, units=(8, 16), blocks=1, vector=4)
    fields, level, vector = torch.randn(4, 3, 8, 8), torch.rand(4), torch.randn(4, 4)
    assert not network(fields, level, vector).any()
    wanted = fields[:, :2] * level[:, None, None, None] + vector[:, :1, None, None]
    optimiser, losses = torch.optim.Adam(network.parameters(), 1e-2), []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (network(fields, 1000 * level, vector) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.2 * losses[0]


def test_fields_that_cannot_be_halved_are_refused():
    with pytest.raises(OptionError, match="multiples of 8"):
        PlaneUNet(1, 1)(torch.zeros(1, 1, 12, 12), torch.zeros(1))


def test_times_lie_in_their_range():
    found = flow.times(5 * torch.randn(1000), first=1e-3, last=0.999)
    assert float(found.min()) == pytest.approx(1e-3) and float(found.max()) == pytest.approx(0.999)
