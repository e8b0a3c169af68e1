"""Stand-in: the response that a script returns to decide status and headers itself."""

from mlserve_scoring.scripts.rawhttp import AMLResponse

__all__ = ["AMLResponse"]
