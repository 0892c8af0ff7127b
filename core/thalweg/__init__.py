"""thalweg: scientific machine learning that obeys its laws. This is the public API, and nothing else."""

from __future__ import annotations

from .components import (
    Component,
    Dataset,
    Enforcer,
    Fitted,
    Hold,
    Law,
    Learner,
    LinearLaw,
    Loss,
    LossEnforcer,
    Method,
    Metric,
    OperatorEnforcer,
    OutputEnforcer,
    Rows,
    SamplingEnforcer,
    Solver,
    Steered,
    TensorLaw,
    Training,
    Transform,
    WholeMetric,
)
from .components.hookspecs import Register, hookimpl
from .components.signature import Field, Signature
from .errors import EstimateError, HandshakeError, OptionError, SourceError, ThalwegError, UnknownNameError
from .recipes.registry import Named, Registry
from .results.scoring import Score, Totals, score
from .samples import Samples

__all__ = [
    "Component",
    "Dataset",
    "Enforcer",
    "EstimateError",
    "Field",
    "Fitted",
    "HandshakeError",
    "Hold",
    "Law",
    "Learner",
    "LinearLaw",
    "Loss",
    "LossEnforcer",
    "Method",
    "Metric",
    "Named",
    "OperatorEnforcer",
    "OptionError",
    "OutputEnforcer",
    "Register",
    "Registry",
    "Rows",
    "Samples",
    "SamplingEnforcer",
    "Score",
    "Signature",
    "Solver",
    "SourceError",
    "Steered",
    "TensorLaw",
    "ThalwegError",
    "Totals",
    "Training",
    "Transform",
    "UnknownNameError",
    "WholeMetric",
    "hookimpl",
    "score",
]
