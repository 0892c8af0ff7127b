"""UNet at sizes that do not divide."""

from __future__ import annotations

import torch
from thalweg_spatiotemporal.networks._frames import pad
from thalweg_spatiotemporal.networks.unet import UNet


def test_a_field_is_continued_by_its_edge_and_cut_again() -> None:
    torch.manual_seed(0)
    network = UNet(frames=(2, 3), channels=(1, 2), widths=(4, 8), centre=8).eval()
    inputs = torch.randn(1, 2, 6, 9, 1)
    larger = pad(inputs[0, ..., 0][None], 4)[0, ..., None][None]
    assert larger.shape == (1, 2, 8, 12, 1)
    assert torch.equal(larger[:, :, 6:], larger[:, :, 5:6].expand(-1, -1, 2, -1, -1))
    with torch.no_grad():
        torch.testing.assert_close(network(inputs), network(larger)[:, :, :6, :9])


def test_all_leads_see_all_inputs() -> None:
    torch.manual_seed(0)
    network = UNet(frames=(3, 2), channels=(2, 1), widths=(4,), centre=8)
    inputs = torch.randn(2, 3, 4, 4, 2, requires_grad=True)
    for lead in range(2):
        (seen,) = torch.autograd.grad(network(inputs)[0, lead].sum(), inputs)
        assert seen[0].abs().sum((1, 2)).gt(0).all()
