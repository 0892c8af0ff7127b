"""Zarr v3 stores that are whole or absent, addressed by what they hold; see `thalweg.stores`."""

from __future__ import annotations

from .stores.attempt import FORMAT, Attempt, mark
from .stores.committed import Committed, committed_at, repair
from .stores.store import Store, seconds

__all__ = ["FORMAT", "Attempt", "Committed", "Store", "committed_at", "mark", "repair", "seconds"]
