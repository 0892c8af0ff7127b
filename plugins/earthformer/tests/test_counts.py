"""Sizes of all published configurations, on the meta device."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from thalweg.errors import OptionError
from thalweg_earthformer.architecture import Architecture
from thalweg_earthformer.flops import multiply_accumulates
from thalweg_earthformer.model import CuboidTransformer
from thalweg_earthformer.presets import preset
from thalweg_earthformer.reference import reference_state

CONFIGURATIONS = {
    # name, family, global vectors: parameters, keys of the published state
    ("sevir", "paper", True): (15_082_069, 470),
    ("sevir", "paper", False): (13_075_029, 407),
    ("enso", "paper", True): (7_600_077, 852),
    ("enso", "paper", False): (6_601_293, 729),
    ("nbody", "paper", True): (7_610_781, 852),
    ("nbody", "paper", False): (6_611_997, 729),
    ("sevir", "checkpoint", True): (8_659_677, 286),
    ("sevir", "checkpoint", False): (6_164_573, 223),
    ("enso", "checkpoint", False): (1_394_325, 177),
    ("enso", "checkpoint", True): (2_019_285, 240),
    ("sevir-lr", "checkpoint", False): (1_505_069, 223),
    ("sevir-lr", "checkpoint", True): (2_130_029, 286),
    ("nbody", "checkpoint", False): (6_702_109, 727),
    ("nbody", "checkpoint", True): (9_175_453, 970),
}


def on_meta(architecture: Architecture) -> CuboidTransformer:
    with torch.device("meta"):
        return CuboidTransformer(architecture).eval()


@pytest.mark.parametrize(("configuration", "counts"), CONFIGURATIONS.items(), ids=str)
def test_parameters_and_keys_are_those_published(configuration, counts):
    name, family, vectors = configuration
    model = on_meta(preset(name, family, vectors=vectors, compat=True))
    assert sum(each.numel() for each in model.parameters()) == counts[0]
    assert len(reference_state(model)) == counts[1]


def operations(name: str, family: str, *, norms: bool = False, folded: bool = False, **options: bool) -> float:
    architecture = replace(preset(name, family, compat=True, **options), folded=folded)
    return multiply_accumulates(on_meta(architecture), (1, *architecture.input_shape), norms=norms) / 1e9


def padded_projections() -> float:
    """What the published code spends on the ten zeros after the two last months: here they are not projected."""
    finest, coarsest = 10 * 24 * 24, 10 * 12 * 12
    return (4 * finest * 4 * 64**2 + 3 * coarsest * 4 * 128**2) / 1e9


@pytest.mark.parametrize(
    ("name", "vectors", "products", "with_norms", "printed"),
    [
        ("sevir", True, 255.71, None, 257),
        ("enso", True, 23.65, 23.86, 23.9),
        ("enso", False, 23.38, 23.60, 23.6),
        ("nbody", True, 33.71, 34.03, None),
        ("nbody", False, 33.33, 33.65, None),
    ],
)
def test_operations_are_those_of_the_published_code_and_of_the_paper(name, vectors, products, with_norms, printed):
    spared = padded_projections() if name == "enso" else 0.0
    assert operations(name, "paper", vectors=vectors) + spared == pytest.approx(products, rel=5e-4)
    found = operations(name, "paper", vectors=vectors, norms=True) + spared
    assert with_norms is None or found == pytest.approx(with_norms, rel=5e-4)
    assert printed is None or round(found, 0 if name == "sevir" else 1) == printed


def test_folding_saves_what_its_formula_says():
    """Upsampling by 3 of 64 channels, by 2 of 128 twice and in the decoder of 256 to 128: 25/81 and 4/9 are left."""
    cells = 12 * 9
    full = cells * (384**2 * 64**2 + 128**2 * 128**2 + 64**2 * 128**2 + 32**2 * 256 * 128) / 1e9
    left = cells * (384**2 * 64**2 * 25 / 81 + (128**2 * 128**2 + 64**2 * 128**2 + 32**2 * 256 * 128) * 4 / 9) / 1e9
    saved = operations("sevir", "checkpoint") - operations("sevir", "checkpoint", folded=True)
    assert saved == pytest.approx(full - left, rel=0.02)  # the small convolutions compute one cell more per side
    assert saved / operations("sevir", "checkpoint") > 0.29


def test_every_published_dead_parameter_is_left_out_of_training():
    model = on_meta(preset("sevir", compat=True))
    unused = {name for name, each in model.named_parameters() if not each.requires_grad}
    assert sum(dict(model.named_parameters())[name].numel() for name in unused) == 459_008
    assert all(name.startswith("encoder.blocks.1.0.attn_l.2.") for name in unused)


def test_a_preset_that_was_never_published_is_refused():
    with pytest.raises(OptionError, match=r"no preset 'sevir-lr' of the family 'paper'"):
        preset("sevir-lr", "paper")
