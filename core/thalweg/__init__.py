"""thalweg: scientific machine learning that obeys its laws. This is the public API, and nothing else.

Beside the names below, a plugin may use what these modules export: `boundaries` (files and servers that may fail),
`credentials` (what must not be shown), `quantities` (units, latitudes and longitudes) and `stores` (small files).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import boundaries, credentials, quantities, stores
from .components import (
    Component,
    Dataset,
    Demand,
    Enforcer,
    Fitted,
    Hold,
    IndexTransform,
    Law,
    Learner,
    LinearLaw,
    Loss,
    LossEnforcer,
    Method,
    Metric,
    OperatorEnforcer,
    OutputEnforcer,
    Parts,
    Rows,
    SamplingEnforcer,
    Site,
    Solver,
    Steered,
    TensorLaw,
    Training,
    Transform,
    WholeMetric,
)
from .components.hookspecs import Register, hookimpl
from .components.signature import Field, Signature, shake
from .components.totals import Totals
from .errors import (
    EstimateError,
    HandshakeError,
    OptionError,
    RunError,
    SourceError,
    ThalwegError,
    UnknownNameError,
)
from .recipes.registry import Named, Registry
from .results.folders import links, tracker_uri
from .results.records import Record, curves, scalars
from .results.run import STAGES, Run, Stage
from .results.scoring import KEPT, Score, score
from .results.solved import Solved, load
from .results.solver import read_fitted, write_fitted
from .samples import SPLITS, Pairs, SampleIndex, Samples, Windows, has_index, index_of
from .samples.fields import chosen, pair

if TYPE_CHECKING:
    from .api import Finished, Plans, Runs, compare, forecast, open_scores, plan, run

_LATER = ("Finished", "Plans", "Runs", "compare", "forecast", "open_scores", "plan", "run")
"""What `api` gives: the pipeline is imported when one of them is asked for."""

__all__ = [
    "KEPT",
    "SPLITS",
    "STAGES",
    "Component",
    "Dataset",
    "Demand",
    "Enforcer",
    "EstimateError",
    "Field",
    "Finished",
    "Fitted",
    "HandshakeError",
    "Hold",
    "IndexTransform",
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
    "Pairs",
    "Parts",
    "Plans",
    "Record",
    "Register",
    "Registry",
    "Rows",
    "Run",
    "RunError",
    "Runs",
    "SampleIndex",
    "Samples",
    "SamplingEnforcer",
    "Score",
    "Signature",
    "Site",
    "Solved",
    "Solver",
    "SourceError",
    "Stage",
    "Steered",
    "TensorLaw",
    "ThalwegError",
    "Totals",
    "Training",
    "Transform",
    "UnknownNameError",
    "WholeMetric",
    "Windows",
    "boundaries",
    "chosen",
    "compare",
    "credentials",
    "curves",
    "forecast",
    "has_index",
    "hookimpl",
    "index_of",
    "links",
    "load",
    "open_scores",
    "pair",
    "plan",
    "quantities",
    "read_fitted",
    "run",
    "scalars",
    "score",
    "shake",
    "stores",
    "tracker_uri",
    "write_fitted",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".api", __name__), name)
