"""Which platforms the wheels of an installed environment say that they are for."""

from __future__ import annotations

from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name


def wheel_tags(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the tags of each installed wheel, ``cp311-cp311-manylinux_2_17_x86_64``, by its package's name."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted(folder.glob("*.dist-info/WHEEL")):
        name = canonicalize_name(path.parent.name.partition("-")[0])
        head = HeaderParser().parsestr(path.read_text(encoding="utf-8", errors="replace"))
        found[name] = tuple(str(tag).strip() for tag in head.get_all("Tag", []))
    return found
