"""The operator is a function of functions: it does not know how they were sampled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from thalweg_pde.fno import FNO, parameters
from thalweg_pde.spectral import SpectralConvolution, spectral_parameters


def waves(size: tuple[int, ...], *, channels: int, seed: int = 0) -> torch.Tensor:
    """Fields of low frequencies, sampled on a grid."""
    draw = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) / n for n in size), indexing="ij"), -1)
    found = np.zeros((2, *size, channels))
    for _ in range(6):
        k = draw.integers(-2, 3, len(size))
        phase = draw.uniform(0, 2 * np.pi, (2, channels))
        angle = 2 * np.pi * (grid @ k)
        found += np.cos(angle[None, ..., None] + phase.reshape(2, *([1] * len(size)), channels))
    return torch.from_numpy(found)


@pytest.mark.parametrize("modes", [(5,), (4, 5), (3, 4, 3)])
def test_finer_grids_give_the_same_function(modes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = SpectralConvolution(2, 3, modes=modes).double()
    coarse, fine = (10, 12, 11)[: len(modes)], (20, 24, 22)[: len(modes)]
    with torch.no_grad():
        at = (slice(None), *(slice(None, None, 2) for _ in modes))
        one, other = layer(waves(coarse, channels=2)), layer(waves(fine, channels=2))[at]
    assert one.dtype == torch.float64
    torch.testing.assert_close(one, other, rtol=0, atol=1e-14)


def test_a_derivative_is_a_convolution() -> None:
    layer = SpectralConvolution(1, 1, modes=(4,)).double()
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0, 0, 1] = torch.arange(4.0)
    x = 2 * torch.pi * torch.arange(17, dtype=torch.float64) / 17
    u = torch.sin(3 * x) + 0.5 * torch.cos(x)
    torch.testing.assert_close(layer(u[None, :, None])[0, :, 0], 3 * torch.cos(3 * x) - 0.5 * torch.sin(x))


@pytest.mark.parametrize("modes", [(16,), (3, 4), (2, 3, 2)])
def test_parameters_are_counted(modes: tuple[int, ...]) -> None:
    model = FNO(1, 2, modes=modes, width=6, layers=3)
    assert sum(each.numel() for each in model.parameters()) == parameters(
        inputs=1, outputs=2, modes=modes, width=6, layers=3
    )
    layer = SpectralConvolution(3, 5, modes=modes)
    assert layer.weight.numel() == spectral_parameters(3, 5, modes)


def test_the_published_one_dimensional_size() -> None:
    assert parameters(inputs=1, outputs=1, modes=(16,), width=64, layers=4) == 549_569


def test_a_coarse_grid_leaves_modes_out() -> None:
    model = FNO(1, 1, modes=(16, 16), width=4)
    assert model(torch.randn(2, 9, 7, 1)).shape == (2, 9, 7, 1)


def test_layers_are_named() -> None:
    model = FNO(1, 1, modes=(4,), width=4, layers=2)
    assert [type(model.get_submodule(name)).__name__ for name in model.linear_layers()] == [
        "SpectralConvolution",
        "SpectralConvolution",
        "Linear",
        "Linear",
    ]
