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
from .errors import EstimateError, HandshakeError, OptionError, SourceError, ThalwegError
from .hookspecs import Register, hookimpl
from .plugins import Named, Registry
from .samples import Samples
from .scoring import Score, Totals, score
from .signature import Field, Signature

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
    "WholeMetric",
    "hookimpl",
    "score",
]
