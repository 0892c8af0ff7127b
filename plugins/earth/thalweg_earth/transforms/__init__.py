"""Lazy transforms of datasets, one to a file."""
