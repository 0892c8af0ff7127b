"""What makes trajectories obey."""
