"""What all six keep: shapes, learning, and nothing seen of the truth that was not shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from thalweg_spatiotemporal.networks._frames import roll, unroll
from thalweg_spatiotemporal.networks._recurrent import Forcing, Recurrent
from thalweg_spatiotemporal.networks.convlstm import ConvLSTM
from thalweg_spatiotemporal.networks.e3dlstm import E3DLSTM
from thalweg_spatiotemporal.networks.phydnet import PhyDNet
from thalweg_spatiotemporal.networks.predrnn import PredRNN
from thalweg_spatiotemporal.networks.rainformer import Rainformer
from thalweg_spatiotemporal.networks.unet import UNet
from torch import Tensor, nn

INPUTS, STEPS = 4, 3
Make = Callable[[tuple[int, int], int], nn.Module]

IMAGES: dict[str, Make] = {
    "unet": lambda _, c: UNet(frames=(INPUTS, STEPS), channels=(c, c), widths=(4, 8), centre=16),
    "rainformer": lambda size, c: Rainformer(
        frames=(INPUTS, STEPS), size=size, channels=(c, c), width=8, factors=(2, 2), heads=(1, 2), head=8, window=2
    ),
}
RECURRENT: dict[str, Make] = {
    "convlstm": lambda _, c: ConvLSTM(steps=STEPS, channels=c, hidden=8, layers=2, kernel=3, patch=2),
    "predrnn": lambda _, c: PredRNN(steps=STEPS, channels=c, hidden=8, layers=2, kernel=3, patch=2),
    "phydnet": lambda _, c: PhyDNet(steps=STEPS, channels=c, width=16, residual=(16, 16), kernel=3),
    "e3dlstm": lambda size, c: E3DLSTM(
        steps=STEPS, size=size, channels=c, hidden=8, layers=2, kernel=(2, 3, 3), patch=2
    ),
}
ALL = IMAGES | RECURRENT
every = pytest.mark.parametrize("make", [pytest.param(each, id=name) for name, each in ALL.items()])
recurrent = pytest.mark.parametrize("make", [pytest.param(each, id=name) for name, each in RECURRENT.items()])


def batch(size: tuple[int, int] = (8, 8), channels: int = 1, samples: int = 2) -> tuple[Tensor, Tensor]:
    """A bump that travels, and where it goes."""
    time = torch.arange(INPUTS + STEPS)[None, :, None, None, None]
    y, x = (torch.arange(each) / each for each in size)
    phase = y[:, None, None] + x[:, None] + 0.3 * torch.arange(channels)
    start = torch.arange(samples)[:, None, None, None, None] / samples
    frames = 0.5 + 0.5 * torch.sin(2 * torch.pi * (phase + start) - 0.5 * time)
    return frames[:, :INPUTS], frames[:, INPUTS:]


@every
@pytest.mark.parametrize("size", [(8, 8), (8, 16)])
def test_shapes(make: Make, size: tuple[int, int]) -> None:
    inputs, truth = batch(size, channels=2)
    assert make(size, 2)(inputs).shape == truth.shape


@pytest.mark.parametrize("make", [pytest.param(each, id=name) for name, each in ALL.items() if name != "rainformer"])
@pytest.mark.parametrize("size", [(7, 11), (5, 5), (9, 6)])
def test_sizes_that_do_not_divide(make: Make, size: tuple[int, int]) -> None:
    inputs, truth = batch(size)
    made = make(size, 1)(inputs)
    assert made.shape == truth.shape
    assert torch.isfinite(made).all()


@every
def test_everything_is_learned(make: Make) -> None:
    """Each parameter has a gradient, which DistributedDataParallel asks for, and for some weights it is not 0."""
    inputs, truth = batch((16, 16))
    idle: set[str] = set()
    for seed in range(8):
        torch.manual_seed(seed)
        network = make((16, 16), 1)
        (network(inputs) - truth).square().mean().backward()
        gradients = {name: each.grad for name, each in network.named_parameters()}
        still = {name for name, each in gradients.items() if each is None or not each.any()}
        idle = still if seed == 0 else idle & still
    assert not idle


@every
def test_learns_one_batch_by_heart(make: Make) -> None:
    torch.manual_seed(0)
    inputs, truth = batch()
    network = make((8, 8), 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3 if isinstance(network, PhyDNet) else 1e-2)
    losses = []
    for _ in range(80):
        loss = (network(inputs) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-10:]) < 0.1 * float(truth.var())


@every
def test_samples_do_not_see_one_another(make: Make) -> None:
    torch.manual_seed(0)
    inputs, _ = batch(samples=3)
    network = make((8, 8), 1).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(inputs[1:2]), network(inputs)[1:2], rtol=1e-4, atol=1e-5)


@every
def test_half_precision_learns_too(make: Make) -> None:
    torch.manual_seed(0)
    inputs, truth = batch()
    network = make((8, 8), 1)
    whole = network(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        loss = (network(inputs).float() - truth).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx((whole - truth).square().mean().item(), rel=0.05)
    assert all(each.grad is not None and each.grad.isfinite().all() for each in network.parameters())


@recurrent
def test_shown_all_of_the_truth_it_looks_one_step_ahead(make: Make) -> None:
    torch.manual_seed(0)
    inputs, truth = batch()
    network = make((8, 8), 1).eval()
    assert isinstance(network, Recurrent)
    with torch.no_grad():
        forced = network(inputs, Forcing(truth, torch.ones(2, STEPS - 1, dtype=torch.bool)))
        assert forced.shape[1] == INPUTS + STEPS - 1
        for last in range(INPUTS, INPUTS + STEPS):
            ahead = network(torch.cat([inputs, truth], 1)[:, :last])[:, :1]
            torch.testing.assert_close(forced[:, last - 1 : last], ahead, rtol=1e-4, atol=1e-5)


@recurrent
def test_shown_nothing_it_goes_its_own_way(make: Make) -> None:
    torch.manual_seed(0)
    inputs, truth = batch()
    network = make((8, 8), 1).eval()
    with torch.no_grad():
        forced = network(inputs, Forcing(truth, torch.zeros(2, STEPS - 1, dtype=torch.bool)))
        torch.testing.assert_close(forced[:, -STEPS:], network(inputs))


@recurrent
def test_shown_samples_are_its_own(make: Make) -> None:
    torch.manual_seed(0)
    inputs, truth = batch()
    network = make((8, 8), 1).eval()
    with torch.no_grad():
        mixed = network(inputs, Forcing(truth, torch.tensor([[True, True], [False, False]])))
        free = network(inputs)
    torch.testing.assert_close(mixed[1, -STEPS:], free[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(mixed[0, -STEPS:], free[0], rtol=1e-4, atol=1e-5)


@recurrent
def test_the_last_frame_of_the_truth_is_never_fed(make: Make) -> None:
    inputs, truth = batch()
    truth = truth.clone().requires_grad_()
    shown = torch.ones(2, STEPS - 1, dtype=torch.bool)
    network = make((8, 8), 1)
    (seen,) = torch.autograd.grad(network(inputs, Forcing(truth, shown)).square().sum(), truth)
    assert seen[:, :-1].abs().sum() > 0
    assert not seen[:, -1].any()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("patch", [1, 2, 3])
def test_rolling_undoes_unrolling(channels: int, patch: int) -> None:
    frames = torch.randn(2, 3, 7, 5, channels)
    planes = unroll(frames, patch)
    assert planes.shape == (3, 2, channels * patch**2, -(-7 // patch), -(-5 // patch))
    assert planes[0].stride()[-1] == 1
    assert torch.equal(roll(planes, patch, rows=7, columns=5), frames)
