"""Remembers: the engine's protocol for our own resources."""
