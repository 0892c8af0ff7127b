"""Folding nearest upsampling into the convolution after it."""

from __future__ import annotations

import pytest
import torch
from thalweg_earthformer.upsample import Upsample
from torch.nn import functional

SCALES = [(1, 2), (2, 1), (2, 2), (3, 3), (2, 3), (4, 4), (5, 1)]


def both(scale, dtype, *, height=4, width=5):
    torch.manual_seed(0)
    x = torch.randn(2, 3, height, width, 6, dtype=dtype)
    layer = Upsample(6, 7).to(dtype)
    size = (height * scale[0], width * scale[1])
    return x, layer, size


def unfolded(layer: Upsample, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    images = functional.interpolate(x.flatten(0, 1).permute(0, 3, 1, 2), size, mode="nearest")
    return layer.conv(images).permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
def test_folded_is_unfolded(scale, dtype, tolerance):
    x, layer, size = both(scale, dtype)
    torch.testing.assert_close(layer(x, size), unfolded(layer, x, size), rtol=0, atol=tolerance)


@pytest.mark.parametrize("scale", SCALES)
def test_gradients_of_folded_are_those_of_unfolded(scale):
    x, layer, size = both(scale, torch.float64)
    x.requires_grad_()
    given = (x, *layer.parameters())
    ours = torch.autograd.grad(layer(x, size).pow(3).sum(), given)
    theirs = torch.autograd.grad(unfolded(layer, x, size).pow(3).sum(), given)
    for mine, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [(4, 5), (7, 9), (8, 9), (3, 5)])
def test_sizes_that_are_no_multiple_are_resized_first(size):
    x, layer, _ = both((1, 1), torch.float64)
    torch.testing.assert_close(layer(x, size), unfolded(layer, x, size), rtol=0, atol=1e-13)


def test_a_field_of_one_cell():
    x, layer, size = both((3, 2), torch.float64, height=1, width=1)
    torch.testing.assert_close(layer(x, size), unfolded(layer, x, size), rtol=0, atol=1e-13)
