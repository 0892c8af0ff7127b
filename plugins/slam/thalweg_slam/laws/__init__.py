"""Laws of trajectories."""
