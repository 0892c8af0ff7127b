"""Parameter counts against those of the published code and of the Earthformer paper's table."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from thalweg_spatiotemporal.networks.convlstm import ConvLSTM
from thalweg_spatiotemporal.networks.e3dlstm import E3DLSTM
from thalweg_spatiotemporal.networks.phydnet import PhyDNet
from thalweg_spatiotemporal.networks.predrnn import PredRNN
from thalweg_spatiotemporal.networks.rainformer import Rainformer
from thalweg_spatiotemporal.networks.unet import UNet
from torch import nn


def count(network: nn.Module, *, learned: bool = False) -> int:
    return sum(each.numel() for each in network.parameters() if each.requires_grad or not learned)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        pytest.param(lambda: UNet(frames=(13, 12)), 16_556_044, id="unet-sevir"),
        pytest.param(lambda: UNet(frames=(12, 14), widths=(32, 64, 128)), 12_062_254, id="unet-enso"),
        pytest.param(lambda: UNet(frames=(10, 10)), 16_555_114, id="unet-moving-mnist"),
        pytest.param(lambda: PredRNN(steps=10), 23_838_720, id="predrnn"),
        pytest.param(lambda: PhyDNet(steps=10), 3_091_732, id="phydnet"),
        pytest.param(lambda: E3DLSTM(steps=14, size=(24, 48), patch=1).cells, 12_910_464, id="e3dlstm-cells"),
        pytest.param(lambda: ConvLSTM(steps=10, unused=True), 15_083_520, id="convlstm"),
        pytest.param(lambda: ConvLSTM(steps=10, patch=2, unused=True), 14_928_384, id="convlstm-patch-2"),
    ],
)
def test_exact(make: Callable[[], nn.Module], size: int) -> None:
    with torch.device("meta"):
        assert count(make()) == size


def test_what_is_never_applied_is_never_learned() -> None:
    with torch.device("meta"):
        whole, lean = ConvLSTM(steps=10, unused=True), ConvLSTM(steps=10)
        assert count(whole, learned=True) == count(lean) == 15_083_520 - 4 * (25 + 1) * 2 * 128**2


@pytest.mark.parametrize(
    ("frames", "size", "window", "millions", "digits"), [(9, 288, 9, 187.66, 2), (12, 384, 12, 212.7, 1)]
)
def test_rainformer_as_published(frames: int, size: int, window: int, millions: float, digits: int) -> None:
    with torch.device("meta"):
        made = Rainformer(frames=(frames, frames), size=(size, size), window=window, unused=True)
    assert round(count(made) / 1e6, digits) == millions


@pytest.mark.parametrize(("frames", "size", "window"), [((9, 9), (288, 288), 9), ((7, 5), (64, 128), 2)])
def test_rainformer_by_formula(frames: tuple[int, int], size: tuple[int, int], window: int) -> None:
    """The count as a function of channels and size, in closed form."""
    width, factors, heads = 96, (4, 2, 2, 2), (3, 6, 12, 24)

    def squeeze(channels: int, least: int) -> int:
        middle = channels // 16 if channels // 16 >= least else channels
        return 2 * channels * middle + middle + channels

    def stage(channels: int, hidden: int, head: int, cells: int) -> int:
        attention = 4 * 32 * head * channels + channels + (2 * window - 1) ** 2 + 2 * squeeze(channels, 10)
        block = 4 * channels + attention + 2 * channels * hidden + hidden + channels
        near = 2 * (9 * channels**2 + 3 * channels) + squeeze(channels, 1) + 18 + 2
        return 2 * block + near + 36 * channels**2 + 2 * channels + 4 * channels * cells

    rows, columns = size
    total, channels, shrink, areas = 0, frames[0], 1, [rows * columns]
    for number, factor in enumerate(factors):
        shrink *= factor
        areas.append((rows // shrink) * (columns // shrink))
        total += (channels * factor**2 + 1) * (width * 2**number)
        channels = width * 2**number
        total += stage(channels, 4 * channels, heads[number], areas[-1])
    for number in reversed(range(len(factors))):
        into = width * 2 ** (number - 1) if number else frames[1]
        total += (channels // factors[number] ** 2 + 1) * into
        channels = 2 * into if number else into
        total += stage(channels, 4 * into, heads[number], areas[number])
    with torch.device("meta"):
        assert count(Rainformer(frames=frames, size=size, window=window)) == total
