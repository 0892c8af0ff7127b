"""The six as learners: they keep the kit's contract, refuse what they cannot do, and learn under a teacher."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from thalweg import Field, HandshakeError, OptionError, Registry, Signature
from thalweg.learning import TorchLearner, mean_squared_error
from thalweg.testing import check_method
from thalweg_spatiotemporal._sampling import next_frames
from thalweg_spatiotemporal.convlstm import ConvLSTM
from thalweg_spatiotemporal.networks.convlstm import ConvLSTM as Network
from thalweg_spatiotemporal.phydnet import PhyDNet

REGISTRY = Registry.installed()
ALL = ["convlstm", "e3d-lstm", "phydnet", "predrnn", "rainformer", "unet"]
RECURRENT = ["convlstm", "e3d-lstm", "phydnet", "predrnn"]


def make(name: str, **options: Any) -> Any:
    return REGISTRY.make("methods", {name: options})


def example(name: str) -> Any:
    return make(name, **REGISTRY.parts("methods")[name].example)


def signature(rows: int = 64, columns: int = 64, *, frames: int = 13, names: tuple[str, ...] = ("vil",)) -> Signature:
    dims = ("sample", "lead", "y", "x")
    sizes = {"sample": 4, "lead": frames, "y": rows, "x": columns}
    return Signature(tuple(Field(name, dims, "float32", "1") for name in names), sizes)


def test_they_are_registered() -> None:
    assert [
        name for name in REGISTRY.parts("methods") if REGISTRY.plugin_of("methods", name) == "spatiotemporal"
    ] == ALL


@pytest.mark.parametrize("name", ALL)
def test_conformance(name: str) -> None:
    check_method(example(name))


@pytest.mark.parametrize("name", ALL)
def test_small_is_built_for_radar(name: str) -> None:
    learner = make(name, preset="small")
    assert isinstance(learner, TorchLearner)
    given, wanted = signature(), signature(frames=12)
    learner.check(given)
    network = learner.build(given, wanted).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 13, 64, 64, 1)).shape == (1, 12, 64, 64, 1)
    assert sum(each.numel() for each in network.parameters()) < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_small_learns(name: str) -> None:
    """A batch of echoes that move, by ten updates."""
    torch.manual_seed(0)
    learner = make(name, preset="small")
    network = learner.build(signature(frames=5), signature(frames=4)).train()
    time, y, x = torch.arange(9.0)[:, None, None], torch.arange(64.0)[:, None], torch.arange(64.0)
    fields = torch.stack([torch.exp(-((y - row) ** 2 + (x - 20 - time) ** 2) / 50) for row in (24, 40)])[..., None]
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for step in range(10):
        own = learner.objective(network, fields[:, :5], fields[:, 5:], step=step, loss=mean_squared_error, noise={})
        loss = (network(fields[:, :5]) - fields[:, 5:]).square().mean() if own is None else own[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_what_stands_beside_a_preset_wins() -> None:
    assert make("unet", preset="small").model_dump().items() >= {"widths": (16, 32, 64), "centre": 128}.items()
    assert make("unet", preset="small", centre=64).centre == 64
    with pytest.raises(OptionError, match="preset"):
        make("unet", preset="tiny")


@pytest.mark.parametrize("name", ALL)
def test_fields_that_are_no_maps_are_refused(name: str) -> None:
    line = Signature((Field("sst", ("sample", "lead", "x"), "float32", "K"),), {"sample": 4, "lead": 5, "x": 8})
    with pytest.raises(HandshakeError, match="learns from frames of maps"):
        example(name).check(line)


@pytest.mark.parametrize("name", RECURRENT)
def test_other_variables_in_than_out_are_refused(name: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        example(name).build(signature(names=("vil", "height")), signature(frames=12))
    assert str(caught.value) == (
        f"{name} feeds its frames to itself, but from vil, height it is to make vil\n"
        "  allowed: the same variables as inputs and truth\n"
        "  do: leave out the others in `windows`, or take a method that does not feed itself: unet, rainformer"
    )


@pytest.mark.parametrize("name", ["unet", "rainformer"])
def test_images_take_other_variables_in_than_out(name: str) -> None:
    network = example(name).build(signature(8, 8, names=("vil", "height")), signature(8, 8, frames=12))
    assert network(torch.randn(2, 13, 8, 8, 2)).shape == (2, 12, 8, 8, 1)


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(HandshakeError) as caught:
        make("rainformer").check(signature(384, 384))
    assert str(caught.value) == (
        "rainformer cannot cut 384 x 384 cells into windows of 9 at every stage\n"
        "  allowed: a multiple of 288; windows of 1, 2, 3, 4, 6, 12\n"
        "  do: change `window` or `factors`, or select another region in preprocess"
    )
    make("rainformer", window=12).check(signature(384, 384))
    make("rainformer").check(signature(288, 576))


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("convlstm", {"kernel": 4}, "its side is odd"),
        ("phydnet", {"kernel": 6}, "its side is odd"),
        ("phydnet", {"residual": [24]}, "in steps of 16"),
        ("rainformer", {"heads": [3]}, "one of each per stage"),
        ("rainformer", {"width": 6, "factors": [3, 2], "heads": [1, 1], "window": 2}, "cannot be spread over"),
        ("predrnn", {"teacher": 1.5}, "is too large"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        make(name, **options)


def network_and_batch() -> tuple[Network, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return (
        Network(steps=4, hidden=4, layers=1, kernel=3, patch=1),
        torch.randn(64, 3, 4, 4, 1),
        torch.randn(64, 4, 4, 4, 1),
    )


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (25, 0.75), (50, 0.5), (100, 0.0), (1000, 0.0)])
def test_the_teacher_withdraws(step: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs, truth = network_and_batch()
    seen: list[torch.Tensor] = []
    inner = network.forward
    monkeypatch.setattr(
        network, "forward", lambda frames, forcing: seen.append(forcing.shown) or inner(frames, forcing)
    )
    learner = ConvLSTM(hidden=4, layers=1, kernel=3, patch=1, teacher_steps=100)
    assert learner.objective(network.train(), inputs, truth, step=step, loss=mean_squared_error, noise={}) is not None
    assert float(seen[0].float().mean()) == pytest.approx(share, abs=0.1 if 0 < share < 1 else 0)
    assert learner.objective(network.eval(), inputs, truth, step=step, loss=mean_squared_error, noise={}) is None


def test_phydnet_decides_once_for_a_batch() -> None:
    learner = PhyDNet(width=16, residual=(16,), kernel=3, teacher=0.5)
    network = learner.build(signature(8, 8, frames=3), signature(8, 8, frames=4)).train()
    shares = set()
    inner = network.forward

    def watched(frames: Any, forcing: Any) -> Any:
        shares.add(float(forcing.shown.float().mean()))
        return inner(frames, forcing)

    network.forward = watched  # type: ignore[method-assign]
    for seed in range(6):
        torch.manual_seed(seed)
        learner.objective(
            network, torch.randn(4, 3, 8, 8, 1), torch.randn(4, 4, 8, 8, 1), step=0, loss=mean_squared_error, noise={}
        )
    assert shares == {0.0, 1.0}


def test_the_moment_loss_is_added() -> None:
    given, wanted = signature(8, 8, frames=3), signature(8, 8, frames=4)
    inputs, truth = torch.randn(2, 3, 8, 8, 1), torch.randn(2, 4, 8, 8, 1)
    losses = []
    for weight in (0.0, 2.0):
        torch.manual_seed(0)
        learner = PhyDNet(width=16, residual=(16,), kernel=3, moment=weight)
        network = learner.build(given, wanted).train()
        found = learner.objective(network, inputs, truth, step=0, loss=mean_squared_error, noise={})
        assert found is not None
        losses.append(found[1].item())
    assert losses[1] - losses[0] == pytest.approx(2 * float(network.moment_loss().detach()), rel=1e-4)


def test_the_loss_is_that_of_every_next_frame() -> None:
    network, inputs, truth = network_and_batch()
    options: dict[str, Any] = {"probability": 1.0, "together": False}
    estimate, loss = next_frames(network, inputs, truth, **options, loss=mean_squared_error)
    every = torch.cat([inputs, truth], 1)
    ahead = torch.stack([network(every[:, :last])[:, 0] for last in range(1, 7)], 1)
    torch.testing.assert_close(estimate, ahead[:, -4:])
    torch.testing.assert_close(loss, (ahead - every[:, 1:]).square().mean())


def test_missing_truth_adds_nothing_and_spoils_nothing() -> None:
    network, inputs, truth = network_and_batch()
    holed = truth.clone()
    holed[:, :, 0] = torch.nan

    def known(estimate: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Without the first row of the targets, which follow two frames of the inputs."""
        squares = (estimate - wanted).square()
        squares[:, 2:, 0] = 0
        return squares.sum() / (squares.numel() - 64 * 4 * 4)

    whole, masked = (
        next_frames(network, inputs, each, probability=0.0, together=False, loss=loss)[1]
        for each, loss in ((truth, known), (holed, mean_squared_error))
    )
    torch.testing.assert_close(masked, whole)
    assert next_frames(network, inputs, holed, probability=1.0, together=False, loss=mean_squared_error)[1].isfinite()
