"""Measures of trajectories."""
