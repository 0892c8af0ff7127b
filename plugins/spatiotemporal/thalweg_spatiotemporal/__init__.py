"""Networks that learn the next frames from the last ones: the rivals of the cuboid transformer."""
