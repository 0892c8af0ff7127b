"""What has been imported by now stays: collections of garbage do not look at it again, here and in what is forked."""

from __future__ import annotations

import gc


def settle() -> None:
    """Leave all objects that there are out of collections, and make collections of all others rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


settle()
