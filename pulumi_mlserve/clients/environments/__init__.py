"""Packages and interpreters: what an environment is resolved to and installed from."""
