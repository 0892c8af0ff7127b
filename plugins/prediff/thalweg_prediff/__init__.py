"""Forecasts drawn by diffusion and by flows, held to laws while they are drawn; the parts of PreDiff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from thalweg import Enforcer, Method, Register, hookimpl

if TYPE_CHECKING:
    from torch import nn

    from .reference import Part


def from_reference(part: Part, config: Mapping[str, Any]) -> nn.Module:
    """The `vae`, `denoiser` or `alignment` of a configuration of the published implementation, without weights.

    `config` is what its class is called with. `reference.load_reference` fills it. Raises `OptionError`.
    """
    from .reference import from_reference as build

    return build(part, config)


@hookimpl
def register_methods(register: Register[Method]) -> None:
    from .alignment_learner import AlignmentLearner
    from .autoencoder_learner import AutoencoderLearner
    from .crps_nowcast import CRPSNowcast
    from .denoiser_learner import DenoiserLearner
    from .flow_nowcast import FlowNowcast
    from .prediff import PreDiff

    register("crps-nowcast", CRPSNowcast)
    register("flow-nowcast", FlowNowcast)
    register("prediff", PreDiff)
    register("prediff-alignment", AlignmentLearner)
    register("prediff-autoencoder", AutoencoderLearner)
    register("prediff-denoiser", DenoiserLearner)


@hookimpl
def register_enforcers(register: Register[Enforcer]) -> None:
    from .knowledge_alignment import KnowledgeAlignment

    register("knowledge-alignment", KnowledgeAlignment)
