"""What E3D-LSTM recalls."""

from __future__ import annotations

import pytest
import torch
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
