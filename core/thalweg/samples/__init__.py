"""Where the samples of a dataset lie, and reading batches of them."""

from __future__ import annotations

from .index import SPLITS, Samples, Split, shared_steps
from .prepared import Prepared

__all__ = ["SPLITS", "Prepared", "Samples", "Split", "shared_steps"]
