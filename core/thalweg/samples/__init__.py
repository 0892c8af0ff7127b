"""Where the samples of a dataset lie, and reading batches of them: the only part that knows how an index is written."""

from __future__ import annotations

from .index import SPLITS, SampleIndex, Side, Split, Track, View
from .kinds import has_index, index_of
from .origins import Origins
from .pairs import Pairs
from .prepared import Prepared
from .ragged import Ragged
from .samples import Samples, shared_steps
from .windows import Windows

__all__ = [
    "SPLITS",
    "Origins",
    "Pairs",
    "Prepared",
    "Ragged",
    "SampleIndex",
    "Samples",
    "Side",
    "Split",
    "Track",
    "View",
    "Windows",
    "has_index",
    "index_of",
    "shared_steps",
]
