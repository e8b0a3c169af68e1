"""A runtime for tests of how processes are replaced: it misbehaves on request, which the real one cannot."""
