"""ConvLSTM by hand."""

from __future__ import annotations

from math import exp, tanh

import pytest
import torch
from thalweg_spatiotemporal.networks.convlstm import ConvLSTM, ConvLSTMCell


def sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value))


def test_one_step_by_hand() -> None:
    cell = ConvLSTMCell(1, 1, kernel=1)
    with torch.no_grad():
        # Rows: enter, forget, new, out; columns: of the frame, of the hidden state.
        cell.gates.weight.copy_(torch.tensor([[0.5, -1.0], [2.0, 0.25], [-1.5, 1.0], [1.0, 3.0]])[..., None, None])
    x, h, c = 0.8, -0.3, 0.6
    kept = sigmoid(2.0 * x + 0.25 * h) * c + sigmoid(0.5 * x - h) * tanh(-1.5 * x + h)
    shown = sigmoid(x + 3 * h) * tanh(kept)
    with torch.no_grad():
        hidden, after = cell(*(torch.full((1, 1, 1, 1), each) for each in (x, h, c)))
    assert float(after) == pytest.approx(kept, rel=1e-6)
    assert float(hidden) == pytest.approx(shown, rel=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_news_travels_by_a_kernel_per_layer_and_step(layers: int) -> None:
    torch.manual_seed(0)
    network = ConvLSTM(steps=2, hidden=4, layers=layers, kernel=3, patch=1)
    inputs = torch.randn(1, 1, 15, 15, 1, requires_grad=True)
    for lead in range(2):
        (seen,) = torch.autograd.grad(network(inputs)[0, lead, 7, 7, 0], inputs)
        rows = seen[0, 0, :, :, 0].abs().amax(1).nonzero()[:, 0]
        reach = layers * (lead + 1)
        assert rows.tolist() == list(range(7 - reach, 7 + reach + 1))
