"""The memory of PredRNN zigzags."""

from __future__ import annotations

import torch
from thalweg_spatiotemporal.networks.predrnn import PredRNN
from torch import Tensor


def stepped() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The memory before and after a step, three layers: (h1, c1, h2, c2, h3, c3, m)."""
    torch.manual_seed(0)
    network = PredRNN(steps=1, hidden=4, layers=3, kernel=3, patch=1)
    before = tuple(torch.randn(1, 4, 5, 5, requires_grad=True) for _ in range(7))
    return before, network.step(torch.randn(1, 1, 5, 5), before)[1]


def reaches(target: Tensor, source: Tensor) -> bool:
    (gradient,) = torch.autograd.grad(target.sum(), source, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.abs().sum() > 0)


def test_the_top_of_one_step_reaches_the_bottom_of_the_next() -> None:
    before, after = stepped()
    assert reaches(after[0], before[6])


def test_it_is_the_only_way_down() -> None:
    """Without the zigzag, the first layer would know nothing of the layers above it."""
    before, after = stepped()
    for state in (0, 1):
        assert reaches(after[state], before[state])
        assert not any(reaches(after[state], above) for above in before[2:6])


def test_it_goes_up_through_all_layers() -> None:
    before, after = stepped()
    assert all(reaches(after[2 * layer], before[6]) for layer in range(3))
    assert reaches(after[6], before[6])
    # A layer's own memory does not enter the zigzag of its step: what enters is what it shows, in the layers above.
    assert not reaches(after[6], before[5])
    assert reaches(after[6], before[1])


def test_without_input_a_memory_is_kept_by_its_forget_gate() -> None:
    """All weights zero: gates are sigma(1) for keeping, and nothing is added."""
    network = PredRNN(steps=1, hidden=2, layers=1, kernel=3, patch=1)
    for each in network.parameters():
        torch.nn.init.zeros_(each)
    hidden, cell, zigzag = (torch.randn(1, 2, 3, 3) for _ in range(3))
    _, after = network.step(torch.randn(1, 1, 3, 3), (hidden, cell, zigzag))
    kept = torch.sigmoid(torch.tensor(1.0))
    torch.testing.assert_close(after[1], kept * cell)
    torch.testing.assert_close(after[2], kept * zigzag)
    assert not after[0].any()
