"""Units, coordinates on the sphere, and labels as text."""

from __future__ import annotations

from .sphere import cosine_of_latitude, find_axis, in_degrees, points_to
from .texts import texts
from .units import canonical_units, conversion, explained, is_difference, same_units, squared

__all__ = [
    "canonical_units",
    "conversion",
    "cosine_of_latitude",
    "explained",
    "find_axis",
    "in_degrees",
    "is_difference",
    "points_to",
    "same_units",
    "squared",
    "texts",
]
