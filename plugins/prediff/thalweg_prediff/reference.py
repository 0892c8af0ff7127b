"""Networks of the published implementation, and their checkpoints.

github.com/gaozhihan/PreDiff at 0703a61. Parameters have the same names here, so a state of either is one of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from thalweg import OptionError, SourceError
from thalweg_earthformer.reference import compare, read_checkpoint
from thalweg_earthformer.stack import Dropout, Layers
from torch import Tensor, nn

from .alignment import Alignment
from .architecture import Autoencoder, Levels
from .autoencoder import FrameAutoencoder
from .denoiser import Denoiser

Part = Literal["vae", "denoiser", "alignment"]

PREFIX = "torch_nn_module."
"""Before the keys of what was trained, in checkpoints of the published training scripts."""
AVERAGE = "model_ema."
"""Before the keys of the moving average, whose own dots are left out."""

RENAMED: Mapping[str, str] = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
"""Newer names of the autoencoder's attention, and those of the published checkpoints."""

ONE: Mapping[str, tuple[object, ...]] = {
    "act_fn": ("silu",),
    "norm_layer": ("layer_norm",),
    "downsample": (2,),
    "downsample_type": ("patch_merge",),
    "upsample_type": ("upsample",),
    "upsample_kernel_size": (3,),
    "scale_alpha": (1.0, 1),
    "pos_embed_type": ("t+h+w",),
    "time_embed_use_scale_shift_norm": (False,),
    "time_embed_dropout": (0.0, 0),
    "unet_res_connect": (True,),
    "num_global_vectors": (0,),
    "use_inter_ffn": (True,),
    "hierarchical_pos_embed": (False,),
    "pool": ("attention",),
    "readout_seq": (True,),
    "self_attn_use_final_proj": (True,),
}
"""Keys of which the published configurations have a single value."""

UNREAD = (
    "use_global_vector_ffn",
    "use_global_self_attn",
    "separate_global_qkv",
    "global_dim_ratio",
    "attn_linear_init_mode",
    "ffn_linear_init_mode",
    "ffn2_linear_init_mode",
    "attn_proj_linear_init_mode",
    "conv_init_mode",
    "down_linear_init_mode",
    "up_linear_init_mode",
    "global_proj_linear_init_mode",
    "norm_init_mode",
    "out_len",
    "sample_size",
    "scaling_factor",
    "down_block_types",
    "up_block_types",
)
"""Keys that change nothing here: of global vectors, of which there are none, and of how weights are drawn."""

READ: Mapping[str, tuple[str, ...]] = {
    "vae": (
        "in_channels",
        "out_channels",
        "block_out_channels",
        "layers_per_block",
        "latent_channels",
        "norm_num_groups",
    ),
    "denoiser": ("input_shape", "target_shape", "base_units", "depth", "block_attn_patterns"),
    "alignment": ("input_shape", "out_channels", "base_units", "depth", "block_attn_patterns"),
}
"""Keys that a configuration must have."""

LAYERS = (
    "num_heads",
    "attn_drop",
    "proj_drop",
    "ffn_drop",
    "ffn_activation",
    "gated_ffn",
    "padding_type",
    "use_relative_pos",
    "checkpoint_level",
    "time_embed_channels_mult",
)


def from_reference(part: Part, config: Mapping[str, Any]) -> nn.Module:
    """A network of a published configuration, not yet with weights; see `load_reference`. Raises `OptionError`."""
    if part not in READ:
        raise OptionError(f"part {part!r}", allowed=", ".join(READ), advice="name one of these")
    _check(part, config)
    built: Mapping[str, Callable[[Mapping[str, Any]], nn.Module]] = {
        "vae": _autoencoder,
        "denoiser": lambda each: Denoiser(tuple(each["input_shape"]), tuple(each["target_shape"]), _levels(each)),
        "alignment": lambda each: Alignment(tuple(each["input_shape"]), _levels(each), out=each["out_channels"]),
    }
    return built[part](config)


def _autoencoder(config: Mapping[str, Any]) -> FrameAutoencoder:
    if config["in_channels"] != config["out_channels"]:
        raise OptionError(
            f"an autoencoder from {config['in_channels']!r} channels to {config['out_channels']!r}",
            allowed="the same channels in and out",
            advice="give the configuration of an autoencoder",
        )
    return FrameAutoencoder(
        Autoencoder(
            config["in_channels"],
            tuple(config["block_out_channels"]),
            layers=config["layers_per_block"],
            latent=config["latent_channels"],
            groups=config["norm_num_groups"],
        )
    )


def _levels(config: Mapping[str, Any]) -> Levels:
    depth = tuple(config["depth"])
    patterns = config["block_attn_patterns"]
    return Levels(
        units=config["base_units"],
        depth=depth,
        patterns=(patterns,) * len(depth) if isinstance(patterns, str) else tuple(patterns),
        layers=Layers(
            heads=config.get("num_heads", 4),
            padding=config.get("padding_type", "zeros"),
            relative=config.get("use_relative_pos", True),
            activation=config.get("ffn_activation", "gelu"),
            gated=config.get("gated_ffn", False),
            dropout=Dropout(*(config.get(each, 0.1) for each in ("attn_drop", "proj_drop", "ffn_drop"))),
        ),
        widening=config.get("time_embed_channels_mult", 4),
        checkpoint=bool(config.get("checkpoint_level", 0)),
    )


def _check(part: str, config: Mapping[str, Any]) -> None:
    missing = [key for key in READ[part] if key not in config]
    if missing:
        raise OptionError(
            f"the configuration of the {part} lacks {', '.join(missing)}",
            allowed=f"one with {', '.join(READ[part])}",
            advice="give the whole configuration, as published",
        )
    known = {*READ[part], *(LAYERS if part != "vae" else ()), *ONE, *UNREAD}
    for key, value in config.items():
        if key not in known:
            raise OptionError(
                f"the configuration of the {part} has a key {key!r}",
                allowed=", ".join(sorted(known)),
                advice="leave it out",
            )
        if value not in ONE.get(key, (value,)):
            raise OptionError(
                f"the configuration of the {part} has {key}: {value!r}",
                allowed=" or ".join(map(repr, ONE[key])),
                advice="keep the published value: no other is implemented",
            )


def load_reference(model: nn.Module, source: str | Path | Mapping[str, Any], *, average: bool = False) -> None:
    """Load a published checkpoint, or a state, strictly; with `average`, its moving average of the weights.

    Prefixes are stripped, newer names of attention are understood, and what else a checkpoint of the training scripts
    holds (schedules, other networks) is left. Raises `SourceError`, which reports all keys that differ.
    """
    given = source if isinstance(source, Mapping) else read_checkpoint(Path(source))
    given = given.get("state_dict", given)
    state = _average(model, given) if average else _own(given)
    if isinstance(model, FrameAutoencoder):
        state = {_attention(key): value for key, value in state.items()}
    found = compare(model, state)
    if found:
        raise SourceError(
            f"the checkpoint is of another architecture\n{found}",
            allowed="one with the keys and shapes of the model",
            advice="build the model with `from_reference` from the configuration of the checkpoint",
        )
    with torch.no_grad():
        model.load_state_dict(state, strict=True)


def _own(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the published scripts trained, if it is among others; else all."""
    stripped = {key.removeprefix(PREFIX): value for key, value in given.items() if key.startswith(PREFIX)}
    return stripped or dict(given)


def _average(model: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The moving average: keys without dots, as the published scripts have them; buffers are those of the network."""
    state = _own(given)
    flat = {key.removeprefix(AVERAGE): value for key, value in given.items() if key.startswith(AVERAGE)}
    if not flat:
        raise SourceError(
            "the checkpoint has no moving average",
            allowed=f"keys that begin with {AVERAGE!r}",
            advice="load it without `average`",
        )
    names = {name.replace(".", ""): name for name, _ in model.named_parameters()}
    averaged = {names[key]: value for key, value in flat.items() if key in names}
    return {**state, **averaged}


def _attention(key: str) -> str:
    for newer, published in RENAMED.items():
        if f".attentions.0.{newer}." in key:
            return key.replace(f".{newer}.", f".{published}.")
    return key
