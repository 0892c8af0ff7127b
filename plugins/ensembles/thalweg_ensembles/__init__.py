"""Ensembles of any learner."""

from __future__ import annotations

from thalweg import Method, Register, hookimpl


@hookimpl
def register_methods(register: Register[Method]) -> None:
    from .deep_ensemble import DeepEnsemble
    from .multi_model import MultiModel

    register("deep-ensemble", DeepEnsemble)
    register("multi-model", MultiModel)
