"""Methods that need no network: the bars that a learned one has to pass."""
