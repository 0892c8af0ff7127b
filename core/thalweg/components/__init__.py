"""What a plugin can provide. A part is a frozen pydantic model: its fields are its options.

A part may also define `check(given)`, to refuse at plan time what its options cannot do; core defines it as nothing.
No part overrides a method of core that does something.
"""

from __future__ import annotations

from .component import Component, Parts, Site
from .dataset import Dataset
from .draw import Draw
from .enforcer import Enforcer, Hold, LossEnforcer, OperatorEnforcer, OutputEnforcer, SamplingEnforcer
from .face import FaceLaw, Line
from .fields import Fields
from .law import DifferentiableLaw, Law, LinearLaw
from .loss import Loss
from .method import Demand, Fitted, Learner, Method, Phase, Solver, Steered, Training
from .metric import Metric, WholeMetric
from .rows import Rows
from .transform import IndexTransform, Transform

__all__ = [
    "Component",
    "Dataset",
    "Demand",
    "DifferentiableLaw",
    "Draw",
    "Enforcer",
    "FaceLaw",
    "Fields",
    "Fitted",
    "Hold",
    "IndexTransform",
    "Law",
    "Learner",
    "Line",
    "LinearLaw",
    "Loss",
    "LossEnforcer",
    "Method",
    "Metric",
    "OperatorEnforcer",
    "OutputEnforcer",
    "Parts",
    "Phase",
    "Rows",
    "SamplingEnforcer",
    "Site",
    "Solver",
    "Steered",
    "Training",
    "Transform",
    "WholeMetric",
]
