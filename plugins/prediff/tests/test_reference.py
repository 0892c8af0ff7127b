"""Parity with arrays of the published implementation, counts of its released and printed sizes, and its checkpoints."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from thalweg.errors import OptionError, SourceError
from thalweg_earthformer.reference import reference_state
from thalweg_prediff import from_reference
from thalweg_prediff.autoencoder import FrameAutoencoder
from thalweg_prediff.discriminator import PatchCritic
from thalweg_prediff.reference import load_reference
from thalweg_prediff.schedule import Schedule

SHARED = Path(os.environ.get("THALWEG_SHARED") or Path(__file__).resolve().parents[3] / ".." / "shared")
FOLDER = SHARED / "reference" / "prediff"
FILES = {"vae": "vae_tiny", "denoiser": "unet_tiny", "alignment": "align_tiny"}
CONFIGS = {"vae": "vae", "denoiser": "unet", "alignment": "alignment"}


def reference(part: str):
    if not FOLDER.exists():
        pytest.skip(f"no reference arrays at {FOLDER}")
    arrays = np.load(FOLDER / f"{FILES[part]}.npz")
    state = {key[6:]: torch.from_numpy(arrays[key]) for key in arrays.files if key.startswith("state/")}
    return json.loads((FOLDER / "tiny_configs.json").read_text())[CONFIGS[part]], state, arrays


def loaded(part: str):
    config, state, arrays = reference(part)
    model = from_reference(part, config).eval()
    load_reference(model, state)
    return model, {name: torch.from_numpy(arrays[name]) for name in arrays.files if not name.startswith("state/")}


def same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    np.testing.assert_allclose(found.detach().numpy(), wanted.numpy(), rtol=0, atol=1e-5)


def test_the_autoencoder_is_the_reference():
    model, arrays = loaded("vae")
    with torch.no_grad():
        posterior = model.encode(arrays["vae_in"])
        same(posterior.mode, arrays["vae_mean"])
        same(posterior.log_variance, arrays["vae_logvar"])
        same(model(arrays["vae_in"]), arrays["vae_rec"])


@pytest.mark.parametrize("learning", [False, True])
def test_the_denoiser_is_the_reference(learning):
    model, arrays = loaded("denoiser")
    with torch.set_grad_enabled(learning):
        same(model(arrays["unet_z"], arrays["unet_t"], arrays["unet_zc"]), arrays["unet_eps"])


def test_the_alignment_network_is_the_reference():
    model, arrays = loaded("alignment")
    with torch.no_grad():
        same(model(arrays["input"], arrays["t"]), arrays["align_out"])


@pytest.mark.parametrize("part", FILES)
def test_the_state_comes_back_key_for_key(part):
    config, state, _ = reference(part)
    model = from_reference(part, config)
    load_reference(model, state)
    again = reference_state(model)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[key], value) for key, value in state.items())


def test_the_schedule_is_the_reference():
    if not FOLDER.exists():
        pytest.skip(f"no reference arrays at {FOLDER}")
    arrays, own = np.load(FOLDER / "schedule.npz"), Schedule()
    pairs = {
        "betas": own.betas,
        "alphas_cumprod": own.signal,
        "posterior_variance": own.posterior_variance,
        "posterior_log_variance_clipped": own.posterior_log_variance,
        "posterior_mean_coef1": own.of_estimate,
        "posterior_mean_coef2": own.of_noisy,
        "lvlb_weights": own.bound_weights,
    }
    for name, values in pairs.items():
        # The published weights are computed in float32, in which 1 - 0.9999 has three digits left.
        rounding = 1e-7 if name != "lvlb_weights" else 1e-4
        np.testing.assert_allclose(values.astype("float32"), arrays[f"sched_{name}"], rtol=rounding, err_msg=name)


def test_the_schedule_ends_with_some_signal_left():
    own = Schedule()
    assert own.signal[-1] == pytest.approx(7.334e-4, rel=1e-3)
    assert own.signal[500] == pytest.approx(0.3313, abs=1e-4)


RELEASED = {
    "vae": {
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "latent_channels": 64,
        "norm_num_groups": 32,
    },
    "denoiser": {
        "input_shape": [7, 16, 16, 64],
        "target_shape": [6, 16, 16, 64],
        "base_units": 256,
        "depth": [4, 4],
        "block_attn_patterns": "axial",
    },
    "alignment": {
        "input_shape": [6, 16, 16, 64],
        "out_channels": 1,
        "base_units": 128,
        "depth": [1, 1],
        "block_attn_patterns": "axial",
    },
}
"""Sizes of the released checkpoints; the paper prints a latent of 4 channels."""


def paper(config):
    latent = {key: [*value[:3], 4] for key, value in config.items() if key in ("input_shape", "target_shape")}
    return {**config, **latent, **({"latent_channels": 4} if "latent_channels" in config else {})}


@pytest.mark.parametrize(
    ("part", "released", "printed"),
    [("vae", 84_499_393, 83_649_253), ("denoiser", 136_817_538, 136_371_918), ("alignment", 8_937_033, 8_721_873)],
)
def test_counts_are_the_published(part, released, printed):
    with torch.device("meta"):
        models = [from_reference(part, RELEASED[part]), from_reference(part, paper(RELEASED[part]))]
    counts = [sum(each.numel() for each in model.parameters()) for model in models]
    assert counts == [released, printed]


def test_the_count_of_the_critic_is_the_published():
    with torch.device("meta"):
        assert sum(each.numel() for each in PatchCritic().parameters()) == 2_763_585


def test_a_checkpoint_of_the_training_scripts_loads(tmp_path):
    config, state, _ = reference("alignment")
    whole = {f"torch_nn_module.{key}": value for key, value in state.items()}
    whole |= {"first_stage_model.encoder.conv_in.bias": torch.zeros(8), "betas": torch.zeros(1000)}
    torch.save({"state_dict": whole}, tmp_path / "run.pt")
    model = from_reference("alignment", config)
    load_reference(model, tmp_path / "run.pt")
    assert torch.equal(model.out[2].c_proj.weight, state["out.2.c_proj.weight"])


def test_the_moving_average_is_chosen_by_its_names_without_dots():
    config, state, _ = reference("alignment")
    name = "out.2.c_proj.weight"
    whole = {f"torch_nn_module.{key}": value for key, value in state.items()}
    whole |= {f"model_ema.{name.replace('.', '')}": state[name] + 1}
    model = from_reference("alignment", config)
    load_reference(model, whole, average=True)
    assert torch.equal(model.out[2].c_proj.weight, state[name] + 1)
    with pytest.raises(SourceError, match="no moving average"):
        load_reference(model, state, average=True)


def test_newer_names_of_attention_are_understood():
    config, state, _ = reference("vae")
    newer = {}
    for key, value in state.items():
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
            key = key.replace(f".attentions.0.{old}.", f".attentions.0.{new}.")
        newer[key] = value
    assert newer.keys() != state.keys()
    model = from_reference("vae", config)
    assert isinstance(model, FrameAutoencoder)
    load_reference(model, newer)
    load_reference(model, state)


def test_another_architecture_is_reported_key_by_key():
    config, state, _ = reference("denoiser")
    other = from_reference("denoiser", {**config, "depth": [1, 1]})
    with pytest.raises(SourceError, match="not in the model"):
        load_reference(other, state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_embed_dropout": 0.1}, "time_embed_dropout: 0.1"),
        ({"units": 3}, "has a key 'units'"),
        ({"depth": [1]}, "depths"),
        ({"num_heads": 3}, "3 heads"),
        ({"target_shape": [2, 5, 5, 4]}, "multiples of 2"),
    ],
)
def test_what_is_not_implemented_is_refused(change, message):
    config = {**RELEASED["denoiser"], "block_attn_patterns": ["axial", "axial"], **change}
    with pytest.raises(OptionError, match=message):
        from_reference("denoiser", config)


def test_an_unknown_part_is_refused():
    with pytest.raises(OptionError, match="'unet'"):
        from_reference("unet", {})  # type: ignore[arg-type]
