"""Methods that estimate trajectories."""
