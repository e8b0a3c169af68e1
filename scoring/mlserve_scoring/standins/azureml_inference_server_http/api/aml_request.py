"""Stand-in: raw HTTP access for entry scripts."""

from mlserve_scoring.scripts.rawhttp import AMLRequest, rawhttp

__all__ = ["AMLRequest", "rawhttp"]
