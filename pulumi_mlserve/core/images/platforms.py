"""For which operating systems and processors images are made."""

from __future__ import annotations

from typing import Final

PLATFORMS: Final = ("linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64")
"""For which wheels can be locked; those of macOS for services of that machine alone."""
CONTAINERS: Final = "linux/amd64"
"""Where containers run unless a program says otherwise."""
