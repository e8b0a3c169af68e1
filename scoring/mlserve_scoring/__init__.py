"""The scoring server inside mlserve images."""

__version__ = "0.1.0"
