"""Parity with arrays of the published implementation, and loading its states."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from thalweg.errors import OptionError, SourceError
from thalweg_earthformer import from_reference
from thalweg_earthformer.presets import preset
from thalweg_earthformer.reference import compare, load_reference, reference_state
from thalweg_earthformer.reference_configuration import architecture_of

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
FOLDER = SHARED / "reference" / "earthformer"
NAMES = ("enso_tiny", "enso_tiny_global_separate", "enso_tiny_global_shared_depth2", "sevir_tiny")


def reference(name: str):
    file = FOLDER / f"earthformer_{name}.npz"
    if not file.exists():
        pytest.skip(f"no reference arrays at {FOLDER}")
    arrays = np.load(file)
    state = {key[6:]: torch.from_numpy(arrays[key]) for key in arrays.files if key.startswith("state/")}
    return json.loads(file.with_suffix(".json").read_text()), state, arrays


@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_forward_is_the_reference(name, learning):
    config, state, arrays = reference(name)
    model = from_reference(config).eval()
    load_reference(model, state)
    with torch.set_grad_enabled(learning):
        out = model(torch.from_numpy(arrays["input"]))
    np.testing.assert_allclose(out.detach().numpy(), arrays["output"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_input_gradient_is_the_reference(name):
    config, state, arrays = reference(name)
    model = from_reference(config).eval()
    load_reference(model, state)
    x = torch.from_numpy(arrays["input"]).requires_grad_()
    model(x).square().mean().backward()
    wanted = arrays["input_grad_of_mean_square"]
    assert x.grad is not None
    # Where the gradient is almost none, its rounding is that of the others.
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-3, atol=3e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("name", NAMES)
def test_the_state_comes_back_key_for_key(name):
    config, state, _ = reference(name)
    model = from_reference(config)
    model.load_state_dict(state, strict=True)
    again = reference_state(model)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[key], value) for key, value in state.items())


def test_a_file_of_the_training_scripts_loads(tmp_path):
    config, state, _ = reference("enso_tiny")
    torch.save({"torch_nn_module." + key: value for key, value in state.items()}, tmp_path / "published.pt")
    model = from_reference(config)
    load_reference(model, tmp_path / "published.pt")
    assert not compare(model, state)


def test_another_architecture_is_reported_key_by_key():
    config, state, _ = reference("enso_tiny")
    with pytest.raises(SourceError) as caught:
        load_reference(from_reference({**config, "base_units": 32, "gated_ffn": True}), state)
    text = str(caught.value)
    assert "missing (22): encoder.blocks.0.0.ffn_l.0.ffn_1_gate.weight" in text
    assert "initial_encoder.conv_block.0.weight (16, 1, 3, 3) for (32, 1, 3, 3)" in text
    assert "do: build the model with `from_reference`" in text


def test_a_wrong_relative_index_is_refused():
    config, state, _ = reference("enso_tiny")
    key = "encoder.blocks.0.0.attn_l.1.relative_position_index"
    with pytest.raises(RuntimeError, match="is not that of blocks of"):
        from_reference(config).load_state_dict({**state, key: state[key].flip(0)})


def test_a_file_that_needs_code_is_not_opened(tmp_path):
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "module.pt")
    config, _, _ = reference("enso_tiny")
    with pytest.raises(SourceError, match="cannot be read as a checkpoint"):
        load_reference(from_reference(config), tmp_path / "module.pt")


YAML = {
    "input_shape": [12, 24, 48, 1],
    "target_shape": [14, 24, 48, 1],
    "base_units": 64,
    "enc_depth": [1, 1],
    "dec_depth": [1, 1],
    "pos_embed_type": "t+h+w",
    "self_pattern": "axial",
    "cross_self_pattern": "axial",
    "cross_pattern": "cross_1x1",
    "initial_downsample_type": "conv",
    "initial_downsample_scale": [1, 1, 2],
    "initial_downsample_conv_layers": 2,
    "final_upsample_conv_layers": 1,
}
"""The ENSO configuration, as its YAML file says it."""


def test_the_yaml_form_is_the_preset():
    assert architecture_of(YAML) == preset("enso", compat=True)


def test_cuboids_can_be_given_themselves():
    config = {key: value for key, value in YAML.items() if "pattern" not in key}
    axial = [[[12, 1, 1], [1, 24, 1], [1, 1, 24]], [[12, 1, 1], [1, 12, 1], [1, 1, 12]]]
    for part in ("enc", "dec_self"):
        config[f"{part}_cuboid_size"] = axial
        config[f"{part}_shift_size"] = [[[0, 0, 0]] * 3] * 2
        config[f"{part}_cuboid_strategy"] = [["lll"] * 3] * 2
    config |= {"dec_cross_cuboid_hw": [[[1, 1]]] * 2, "dec_cross_shift_hw": [[[0, 0]]] * 2}
    config["dec_cross_cuboid_strategy"] = [["lll"]] * 2
    given, named = from_reference(config), from_reference(YAML)
    given.load_state_dict(named.state_dict())
    x = torch.randn(1, 12, 24, 48, 1)
    with torch.no_grad():
        assert torch.equal(given.eval()(x), named.eval()(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_head": 8}, r"a key 'num_head'(?s:.)*did you mean 'num_heads'"),
        ({"norm_layer": "batch_norm"}, r"norm_layer: 'batch_norm'(?s:.)*'layer_norm'"),
        ({"self_pattern": None}, r"does not say the cuboids of enc, level 0(?s:.)*give enc_attn_patterns"),
        ({"base_units": 66, "num_heads": 4}, r"4 heads with \(66, 132\) units"),
        ({"enc_depth": [1, 1, 1]}, r"depths \(1, 1, 1\) and \(1, 1\)"),
    ],
)
def test_what_is_not_implemented_is_refused(change, message):
    with pytest.raises(OptionError, match=message):
        from_reference({**YAML, **change})


def test_a_missing_size_is_named():
    with pytest.raises(OptionError, match="lacks base_units"):
        from_reference({key: value for key, value in YAML.items() if key != "base_units"})
