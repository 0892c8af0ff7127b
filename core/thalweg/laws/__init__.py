"""What laws are made from: rows, what a missing cell does to them, and their product with a field."""

from __future__ import annotations

from ..components.grid import grid_of
from ..components.held import Held
from ..components.rows import Gaps, applied, factors
from ..components.system import System, systems

__all__ = ["Gaps", "Held", "System", "applied", "factors", "grid_of", "systems"]
