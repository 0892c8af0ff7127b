"""Units, and coordinates on the sphere."""
