"""Acts: one module for each outside system, a small interface and the real one."""
