"""Sources of pose graphs."""
