"""Models that answer by themselves, without an entry script."""
