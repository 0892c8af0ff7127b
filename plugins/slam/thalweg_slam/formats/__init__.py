"""Files that pose graphs and trajectories come in: one module each."""
