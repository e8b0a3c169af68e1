"""Stand-in: raw HTTP access for entry scripts."""

from mlserve_scoring.rawhttp import AMLRequest, rawhttp

__all__ = ["AMLRequest", "rawhttp"]
