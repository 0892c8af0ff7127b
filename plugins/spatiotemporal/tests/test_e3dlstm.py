"""What E3D-LSTM recalls, and that its training goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from thalweg.testing import series, windowed
from thalweg.testing.toy_learner import learn, learn_in_two
from thalweg_spatiotemporal import e3dlstm
from thalweg_spatiotemporal.networks.e3dlstm import E3DLSTM, Recall, recall

both = pytest.mark.parametrize("over", ["states", "positions"])


def states(tau: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 3, 2, 4, 5), torch.randn(tau, 2, 3, 2, 4, 5)


@both
def test_of_one_thing_it_recalls_that(over: Recall) -> None:
    query, remembered = states(1)
    same = remembered[..., :1, :1, :1].expand_as(remembered)
    torch.testing.assert_close(recall(query, same.contiguous(), over=over), same[0])


@both
def test_the_order_of_memories_does_not_matter(over: Recall) -> None:
    query, remembered = states(3)
    torch.testing.assert_close(
        recall(query, remembered.flip(0), over=over), recall(query, remembered, over=over), rtol=1e-4, atol=1e-6
    )


@both
def test_it_finds_what_it_looks_for(over: Recall) -> None:
    """A query that is one of the memories, and far from the others, brings that one back, wherever it lies."""
    _, remembered = states(4)
    sharp = 1000 * torch.nn.functional.normalize(remembered, dim=2)
    for number in range(4):
        found = recall(sharp[number], sharp, over=over)
        torch.testing.assert_close(found, sharp[number], rtol=1e-3, atol=1.0)


def test_over_positions_it_is_the_formula() -> None:
    query, remembered = states(2)
    flat = query.flatten(2).transpose(1, 2)
    keys = torch.cat([each.flatten(2).transpose(1, 2) for each in remembered], dim=1)
    wanted = (flat @ keys.transpose(1, 2)).softmax(-1) @ keys
    made = recall(query, remembered, over="positions").flatten(2).transpose(1, 2)
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-5)


def test_over_states_it_is_a_convex_combination() -> None:
    query, remembered = states(3)
    made = recall(query, remembered, over="states")
    scores = torch.stack([(query * each).sum((1, 2, 3, 4)) for each in remembered], 1) / 40**0.5
    wanted = sum(scores.softmax(1)[:, k, None, None, None, None] * remembered[k] for k in range(3))
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-5)


@both
@pytest.mark.parametrize("tau", [1, 2, 3])
def test_it_remembers_tau_states_and_no_more(over: Recall, tau: int) -> None:
    """After each step the newest state is appended and the oldest dropped; all that are kept are read."""
    torch.manual_seed(0)
    network = E3DLSTM(steps=1, size=(4, 4), hidden=4, layers=1, kernel=(2, 3, 3), tau=tau, patch=1, over=over)
    memory, made = network.begin(torch.zeros(1, 1, 4, 4)), []
    for _ in range(5):
        _, memory = network.step(torch.randn(1, 1, 4, 4), memory)
        made.append(memory[2][-1])
    assert torch.equal(memory[2], torch.stack(made[-tau:]))
    cells = memory[2].detach().requires_grad_()
    shown, _ = network.step(torch.randn(1, 1, 4, 4), (*memory[:2], cells, memory[3]))
    (read,) = torch.autograd.grad(shown.square().sum(), cells)
    assert read.flatten(1).abs().sum(1).gt(0).all()


def test_the_window_holds_the_frame_before() -> None:
    network = E3DLSTM(steps=1, size=(4, 4), hidden=4, layers=1, kernel=(2, 3, 3), window=3, patch=1)
    first, second = torch.randn(2, 1, 1, 4, 4)
    memory = network.begin(first)
    _, memory = network.step(first, memory)
    _, memory = network.step(second, memory)
    assert torch.equal(torch.stack(memory[:2]), torch.stack([first, second]))


DATA = windowed(series()).load()
SMALL: dict[str, Any] = {"hidden": 4, "layers": 1, "kernel": 3, "patch": 2}
OPTIONS: dict[str, Any] = {"epochs": 1, "batch": 8, "learning_rate": 1e-3}


def test_an_interrupted_training_ends_bit_equal_also_under_a_teacher(tmp_path: Path) -> None:
    """What the teacher shows is drawn: the generator goes on where it was."""
    whole = learn(e3dlstm.E3DLSTM(**SMALL), DATA, tmp_path / "whole", **OPTIONS)
    cut = learn_in_two(e3dlstm.E3DLSTM(**SMALL), DATA, tmp_path / "cut", at=3, **OPTIONS)
    for name, weights in whole.state.items():
        np.testing.assert_array_equal(cut.state[name], weights)
