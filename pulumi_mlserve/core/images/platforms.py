"""For which operating systems and processors images are made."""

from __future__ import annotations

from typing import Final

from pulumi_mlserve.core.suggest import closest

PLATFORMS: Final = ("linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64")
"""For which wheels can be locked; those of macOS for services of that machine alone."""
CONTAINERS: Final = "linux/amd64"
"""Where containers run unless a program says otherwise."""

_OTHERWISE: Final = {"x86_64": "amd64", "x64": "amd64", "aarch64": "arm64", "macos": "darwin", "osx": "darwin"}


def meant_platform(text: str) -> str | None:
    """Return the platform that another spelling means, None where system or processor is another one."""
    parts = [_OTHERWISE.get(part, part) for part in text.strip().lower().split("/")]
    known = list(zip(*(platform.split("/") for platform in PLATFORMS), strict=True))
    if len(parts) != len(known):
        return None
    near = [closest(part, ones) for part, ones in zip(parts, known, strict=True)]
    return None if None in near else "/".join(map(str, near))
