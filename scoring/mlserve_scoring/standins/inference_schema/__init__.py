"""Stand-in for ``inference_schema``: declared samples of ``run()``, with v1 behaviour."""

__version__ = "1.8"
