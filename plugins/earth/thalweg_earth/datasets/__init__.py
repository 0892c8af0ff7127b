"""Earth-system datasets, one to a file."""
