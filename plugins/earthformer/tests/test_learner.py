"""Earthformer as a method of a recipe."""

from __future__ import annotations

import pytest
import torch
from thalweg import HandshakeError, OptionError, Registry, Signature
from thalweg.components.signature import Field
from thalweg.learning import Layout
from thalweg.testing.methods import check_method
from thalweg_earthformer.learner import Earthformer
from thalweg_earthformer.presets import preset
from thalweg_earthformer.tailored import tailored

MAPS = ("sample", "lead", "y", "x")


def signature(lead: int, y: int, x: int, *, dims: tuple[str, ...] = MAPS, fields: int = 1) -> Signature:
    named = tuple(Field(f"field{number}", dims, "float32") for number in range(fields))
    return Signature(named, {"sample": 3, "lead": lead, "y": y, "x": x, "level": 2})


def test_it_keeps_the_contract_of_a_method():
    method = Registry.installed().make("methods", {"earthformer": dict(Earthformer.example)})
    check_method(method)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sevir", "sevir-lr", "enso", "nbody"])
def test_a_preset_on_its_own_sizes_is_the_published_one(name):
    wanted = preset(name)
    assert tailored(Earthformer(preset=name), inputs=wanted.input_shape, targets=wanted.target_shape) == wanted


def test_options_win_over_the_preset():
    learner = Earthformer(
        preset="sevir", family="paper", units=64, depth=(1, 2, 1), heads=8, pattern="divided_st", vectors=3, dropout=0.2
    )
    found = tailored(learner, inputs=(5, 96, 96, 2), targets=(7, 96, 96, 1))
    assert (found.input_shape, found.target_shape, found.units) == ((5, 96, 96, 2), (7, 96, 96, 1), 64)
    assert found.stem.channels == (8, 32, 64) and found.encoder.patterns == ("divided_st",) * 3
    assert found.layers.vectors.count == 3 and not found.layers.vectors.separate
    assert found.layers.dropout.attention == 0.2 and found.layers.heads == 8


def test_several_variables_and_more_targets_than_inputs():
    given, wanted = signature(3, 9, 14, fields=3), signature(5, 9, 14, fields=2)
    learner = Earthformer(preset="small", units=16, merge=(1, 2))
    network = learner.build(given, wanted)
    out = network(torch.zeros(2, *Layout.of(given).shape))
    assert out.shape == (2, *Layout.of(wanted).shape)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (signature(12, 24, 1), r"1 cells along 'x'(?s:.)*at least 4(?s:.)*smaller `merge`"),
        (signature(12, 24, 24, dims=("sample", "y", "x")), r"\('y', 'x'\)(?s:.)*\(lead, y, x\)"),
        (signature(12, 24, 24, dims=(*MAPS, "level")), r"'level'\)(?s:.)*\(lead, y, x\)"),
    ],
)
def test_fields_that_it_cannot_take_are_refused_at_plan_time(given, message):
    with pytest.raises(HandshakeError, match=message):
        Earthformer().check(given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, r"3 heads with \(64, 128\) units"),
        ({"units": 24, "heads": 4}, "convolutions of 24 channels, normalised in 16 groups"),
        ({"pattern": "axle"}, "no pattern of self-attention is called 'axle'"),
        ({"preset": "sevir-lr", "family": "paper"}, "no preset 'sevir-lr' of the family 'paper'"),
    ],
)
def test_options_that_do_not_fit_are_refused_at_plan_time(options, message):
    with pytest.raises((OptionError, LookupError), match=message):
        Earthformer(**options).check(signature(12, 24, 48))


def test_targets_on_another_grid_are_refused():
    with pytest.raises(HandshakeError, match="targets along"):
        Earthformer().build(signature(12, 24, 48), signature(14, 24, 24))


def test_what_a_training_needs_is_what_it_keeps():
    learner = Earthformer(preset="enso", units=16, heads=2)
    given, wanted = signature(6, 12, 16), signature(4, 12, 16)
    one, two = (learner.demand(given, wanted, {"batch": batch}).memory for batch in (1, 2))
    network = learner.build(given, wanted).train()
    own = {each.untyped_storage().data_ptr() for each in network.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.zeros(1, *Layout.of(given).shape))
    size = sum(each.untyped_storage().nbytes() for pointer, each in kept.items() if pointer not in own)
    assert two - one == pytest.approx(size, rel=0.1)


@pytest.mark.slow
def test_it_learns_what_moves():
    """Waves that travel a cell per step: after 120 updates, a tenth of the error of persistence."""
    torch.manual_seed(0)
    phase = 2 * torch.pi * torch.rand(64, 1, 1, 1)
    time, y, x = torch.arange(8.0)[:, None, None], torch.arange(8.0)[:, None], torch.arange(8.0)
    fields = torch.sin(2 * torch.pi * (x + y - time) / 8 + phase)[..., None]
    given, truth = fields[:, :4], fields[:, 4:]
    network = Earthformer(preset="small", units=16, heads=2, dropout=0.0).build(signature(4, 8, 8), signature(4, 8, 8))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(120):
        batch = slice(16 * (step % 3), 16 * (step % 3) + 16)
        optimizer.zero_grad()
        (network(given[batch]) - truth[batch]).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        error = (network(given[48:]) - truth[48:]).square().mean()
    assert error < 0.1 * (given[48:, -1:] - truth[48:]).square().mean()
