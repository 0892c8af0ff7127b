"""Steps that compute twice what they do not keep."""

from __future__ import annotations

import pytest
import torch
from thalweg_earthformer.convolutions import ConvolutionBlock
from thalweg_earthformer.dropout import drop, keep_mask
from thalweg_earthformer.feed_forward import FeedForward
from thalweg_earthformer.patch_merge import PatchMerging
from torch import nn


def gradients(module: nn.Module, x: torch.Tensor, *, sparing: bool) -> list[torch.Tensor]:
    """The output, and gradients of a scalar of it with respect to the input and all parameters."""
    x = x.clone().requires_grad_()
    out = module(x) if sparing else plain(module, x)
    return [out.detach(), *torch.autograd.grad(out.pow(3).sum(), [x, *module.parameters()])]


def written_out(x, gate, weight, bias, activation, rate):
    assert rate == 0
    return nn.functional.linear(activation(x) * (1 if gate is None else gate), weight, bias)


def plain(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thalweg_earthformer.lean.spares", lambda _: False)
        patch.setattr("thalweg_earthformer.convolutions.spares", lambda _: False)
        patch.setattr("thalweg_earthformer.feed_forward.activated_linear", written_out)
        return module(x)


@pytest.mark.parametrize("module", [
    PatchMerging(4, 6, block=(1, 2, 3)),
    FeedForward(4),
    FeedForward(4, activation="leaky", gated=True),
    ConvolutionBlock(4, 8, layers=3, groups=2),
    ConvolutionBlock(4, 8, layers=1, groups=8),
], ids=str)  # fmt: skip
def test_gradients_are_those_of_plain_steps(module):
    torch.manual_seed(1)
    x = torch.randn(2, 3, 4, 6, 4, dtype=torch.float64)
    module = module.double()
    ours, theirs = gradients(module, x, sparing=True), gradients(module, x, sparing=False)
    for mine, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gated", [False, True])
def test_dropout_within_a_step_drops_the_same_on_the_way_back(gated):
    """A step that drops is linear in what is not dropped: its gradient is the slope between two values."""
    module = FeedForward(6, gated=gated, dropout=0.5).double().train()
    x = torch.randn(4, 6, dtype=torch.float64)
    parameters = list(module.parameters())

    names = [name for name, _ in module.named_parameters()]

    def call(*values):
        torch.manual_seed(3)
        return torch.func.functional_call(module, dict(zip(names, values[1:], strict=True)), (values[0],))

    assert torch.autograd.gradcheck(call, (x.requires_grad_(), *parameters))


def test_dropout_keeps_the_mean_and_the_rate():
    torch.manual_seed(0)
    x = torch.ones(1_000_001)
    dropped = drop(x, 0.3)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float(dropped.mean()) == pytest.approx(1.0, abs=3e-3)
    assert float(keep_mask(x, 0.1).float().mean()) == pytest.approx(0.9, abs=1.5e-3)
    neighbours = keep_mask(x, 0.5).float() * 2 - 1
    assert float((neighbours[1:] * neighbours[:-1]).mean()) == pytest.approx(0.0, abs=4e-3)
    assert torch.equal(drop(x, 0.0), x)


def test_dropout_is_the_same_under_a_seed():
    x = torch.randn(3, 5)
    drawn = []
    for _ in range(2):
        torch.manual_seed(7)
        drawn.append(drop(x, 0.5))
    assert torch.equal(*drawn)


def test_small_frozen_convolutions_can_be_learned_around():
    """torch 2.13 on a CPU crashes in group normalisation of such an input."""
    for enabled in (False, True):
        block = ConvolutionBlock(2, 4, layers=1, groups=2)
        block[0].requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            block(torch.randn(1, 2, 4, 4, 2)).float().sum().backward()
        assert block[1].weight.grad is not None
