"""Configurations of the published implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from thalweg import OptionError

from .architecture import Architecture, Decoder, Encoder, Initialisation
from .cuboids import Column, Cuboid
from .self_attention import GlobalVectors
from .shapes import Triple
from .stack import Dropout, Layers
from .stem import Stem

COMMON: Mapping[str, Any] = {
    "scale_alpha": 1.0,
    "downsample": 2,
    "num_heads": 4,
    "padding_type": "zeros",
    "use_relative_pos": True,
    "self_attn_use_final_proj": True,
    "ffn_activation": "gelu",
    "gated_ffn": False,
    "attn_drop": 0.1,
    "proj_drop": 0.1,
    "ffn_drop": 0.1,
    "num_global_vectors": 0,
    "use_global_self_attn": False,
    "separate_global_qkv": False,
    "use_global_vector_ffn": False,
    "global_dim_ratio": 1,
    "use_dec_self_global": False,
    "dec_self_update_global": True,
    "use_dec_cross_global": False,
    "enc_use_inter_ffn": True,
    "dec_use_inter_ffn": True,
    "dec_use_first_self_attn": False,
    "dec_hierarchical_pos_embed": False,
    "dec_cross_start": 0,
    "dec_cross_last_n_frames": None,
    "z_init_method": "zeros",
    "checkpoint_level": 0,
    "attn_linear_init_mode": "0",
    "ffn_linear_init_mode": "0",
    "down_up_linear_init_mode": "0",
}
"""What all published configurations say, for those keys that are left out."""

SIZES = ("input_shape", "target_shape", "base_units", "enc_depth", "dec_depth", "pos_embed_type")
"""Keys that must be there."""

PARTS = {"enc": "enc_attn_patterns", "dec_self": "dec_self_attn_patterns", "dec_cross": "dec_cross_attn_patterns"}
SINGLE = {"enc": "self_pattern", "dec_self": "cross_self_pattern", "dec_cross": "cross_pattern"}

STEM = ("initial_downsample_type", "initial_downsample_scale", "initial_downsample_conv_layers")
HEAD = "final_upsample_conv_layers"
STACKED = tuple(f"initial_downsample_stack_conv_{each}" for each in ("num_layers", "dim_list", "downscale_list"))
STACKED_LAYERS = "initial_downsample_stack_conv_num_conv_list"

ONE: Mapping[str, tuple[object, ...]] = {
    "downsample_type": ("patch_merge",),
    "upsample_type": ("upsample",),
    "upsample_kernel_size": (3,),
    "norm_layer": ("layer_norm",),
    "initial_downsample_activation": ("leaky",),
    "conv_init_mode": ("0",),
    "norm_init_mode": ("0",),
}
"""Keys of which the published configurations have a single value."""


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """The architecture that a configuration describes: the arguments of the class, or `model:` of the YAML files.

    Raises `OptionError` for a key that is missing or not known, and for a value that is not implemented.
    """
    _check(config)
    get = {**COMMON, **config}
    levels = len(get["enc_depth"])
    vectors = GlobalVectors(
        get["num_global_vectors"],
        separate=get["separate_global_qkv"],
        among=get["use_global_self_attn"],
        feed_forward=get["use_global_vector_ffn"],
        widening=get["global_dim_ratio"],
    )
    there = vectors.count > 0
    return Architecture(
        _shape(get["input_shape"]),
        _shape(get["target_shape"]),
        units=get["base_units"],
        growth=get["scale_alpha"],
        downsample=_block(get["downsample"]),
        stem=_stem(get),
        layers=Layers(
            heads=get["num_heads"],
            padding=get["padding_type"],
            relative=get["use_relative_pos"],
            projected=get["self_attn_use_final_proj"],
            activation=get["ffn_activation"],
            gated=get["gated_ffn"],
            dropout=Dropout(get["attn_drop"], get["proj_drop"], get["ffn_drop"]),
            vectors=vectors if there else GlobalVectors(),
        ),
        encoder=Encoder(tuple(get["enc_depth"]), _patterns(get, "enc", levels), between=get["enc_use_inter_ffn"]),
        decoder=Decoder(
            tuple(get["dec_depth"]),
            _patterns(get, "dec_self", levels),
            _patterns(get, "dec_cross", levels),
            between=get["dec_use_inter_ffn"],
            first_self=get["dec_use_first_self_attn"],
            self_vectors=there and get["use_dec_self_global"],
            updates=get["dec_self_update_global"],
            cross_vectors=there and get["use_dec_cross_global"],
            cross_from=get["dec_cross_start"],
            last=get["dec_cross_last_n_frames"],
            positions=get["dec_hierarchical_pos_embed"],
            start=get["z_init_method"],
        ),
        positions=get["pos_embed_type"],
        initialisation=Initialisation(
            *(get[f"{part}_linear_init_mode"] for part in ("attn", "ffn", "down_up")),
        ),
        checkpoint=bool(get["checkpoint_level"]),
        compat=True,
    )


def _check(config: Mapping[str, Any]) -> None:
    explicit = [
        f"{part}_{key}" for part in ("enc", "dec_self") for key in ("cuboid_size", "shift_size", "cuboid_strategy")
    ]
    explicit += [f"dec_cross_{key}" for key in ("cuboid_hw", "shift_hw", "cuboid_strategy", "n_temporal")]
    known = {*COMMON, *SIZES, *PARTS.values(), *SINGLE.values(), *explicit, *STEM, HEAD, *STACKED, STACKED_LAYERS, *ONE}
    for key, value in config.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise OptionError(
                f"the configuration has a key {key!r}",
                allowed=", ".join(sorted(known)),
                advice=f"did you mean {near[0]!r}?" if near else "leave it out",
            )
        if value not in ONE.get(key, (value,)):
            raise OptionError(
                f"the configuration has {key}: {value!r}",
                allowed=" or ".join(map(repr, ONE[key])),
                advice="keep the published value: no other is implemented",
            )
    missing = [key for key in (*SIZES, STEM[0]) if key not in config]
    if missing:
        raise OptionError(
            f"the configuration lacks {', '.join(missing)}",
            allowed=f"one with {', '.join((*SIZES, STEM[0]))}",
            advice="give the whole configuration, as published",
        )


def _shape(given: Sequence[int]) -> tuple[int, int, int, int]:
    return (given[0], given[1], given[2], given[3])


def _block(scale: int | Sequence[int]) -> Triple:
    return (1, scale, scale) if isinstance(scale, int) else (scale[0], scale[1], scale[2])


def _stem(get: Mapping[str, Any]) -> Stem:
    if get[STEM[0]] == "conv":
        return Stem("conv", (_block(get[STEM[1]]),), layers=(get[STEM[2]],), final_layers=get[HEAD])
    scales = tuple(_block(each) for each in get[STACKED[2]])
    return Stem("stack_conv", scales, tuple(get[STACKED[1]]), tuple(get[STACKED_LAYERS]))


def _patterns(get: Mapping[str, Any], part: str, levels: int) -> tuple[Any, ...]:
    """Of each level: by name, or the cuboids themselves, given per level."""
    named = get.get(PARTS[part]) or get.get(SINGLE[part])
    if isinstance(named, str):
        return (named,) * levels
    return tuple(named) if named else tuple(_explicit(get, part, level) for level in range(levels))


def _explicit(get: Mapping[str, Any], part: str, level: int) -> tuple[Cuboid, ...] | tuple[Column, ...]:
    cross = part == "dec_cross"
    keys = ("cuboid_hw", "shift_hw") if cross else ("cuboid_size", "shift_size")
    try:
        sizes, shifts, strategies = (get[f"{part}_{key}"][level] for key in (*keys, "cuboid_strategy"))
        found = [(tuple(a), tuple(b), tuple(c)) for a, b, c in zip(sizes, shifts, strategies, strict=True)]
        cuts = get.get("dec_cross_n_temporal") or (1,) * (level + 1)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise OptionError(
            f"the configuration does not say the cuboids of {part}, level {level}: {error!r}",
            allowed=f"{PARTS[part]} with names, or {part}_{keys[0]}, _{keys[1]} and _cuboid_strategy, "
            "each a list per level of as many cuboids",
            advice=f"give {PARTS[part]}",
        ) from None
    return tuple(Column(*each, cuts[level]) for each in found) if cross else tuple(Cuboid(*each) for each in found)
