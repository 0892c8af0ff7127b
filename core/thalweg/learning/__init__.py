"""Learning with torch, on one machine or many: an author writes a network, and a loss if it is not the mean square.

    class Trend(TorchLearner):
        width: int = 16

        def build(self, given: Signature, wanted: Signature) -> nn.Module:
            from .network import Network  # torch is imported here, not when the plugin is
            return Network(Layout.of(given).shape, Layout.of(wanted).shape, self.width)

A network maps `(sample, lead, *space, channel)` to `(sample, lead, *space, channel)`, float32, scaled, channels last:
(N, T, H, W, C) for maps. With `separate_inputs = True` it takes its inputs by name, each with its own dims, and the
coordinates of what is wanted: for points that lie on no grid. Nothing here imports torch before it learns or solves.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .contract import Network
from .layout import InUnits, Layout, layouts
from .learner import SteeredSolver, TorchLearner, TorchSolver
from .noise import Noise
from .options import TrainOptions

if TYPE_CHECKING:
    from .batch import Batch
    from .checkpoint import load_weights
    from .fitting import fit
    from .guide import Guide
    from .loader import Loader
    from .mean_error import mean_squared_error
    from .network import Frozen, frozen
    from .objective import BatchObjective, Objective
    from .reader import reader_of
    from .tensors import to_dataset, to_tensor
    from .turn import Turn

_HOMES = {
    "Batch": "batch",
    "BatchObjective": "objective",
    "Loader": "loader",
    "fit": "fitting",
    "Guide": "guide",
    "Frozen": "network",
    "frozen": "network",
    "load_weights": "checkpoint",
    "mean_squared_error": "mean_error",
    "Objective": "objective",
    "reader_of": "reader",
    "to_dataset": "tensors",
    "to_tensor": "tensors",
    "Turn": "turn",
}

__all__ = [
    "Batch",
    "BatchObjective",
    "Frozen",
    "Guide",
    "InUnits",
    "Layout",
    "Loader",
    "Network",
    "Noise",
    "Objective",
    "SteeredSolver",
    "TorchLearner",
    "TorchSolver",
    "TrainOptions",
    "Turn",
    "fit",
    "frozen",
    "layouts",
    "load_weights",
    "mean_squared_error",
    "reader_of",
    "to_dataset",
    "to_tensor",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
