"""From a recipe to a plan: parts by name, hands shaken, bytes and memory known, a digest for each stage."""
