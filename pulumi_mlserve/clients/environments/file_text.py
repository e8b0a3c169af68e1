"""Reads text files as their own first bytes say: UTF-8, with or without a mark, or UTF-16 and UTF-32 with one."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

# The longer mark first: that of UTF-16 begins that of UTF-32. PowerShell's `pip freeze > FILE` writes UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """Return what stands in a file, without its mark, lines ended by newlines.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is no text in any of these.
    """
    with path.open("rb") as file:
        first = file.read(4)
    text = path.read_text(encoding=next((name for mark, name in _MARKS if first.startswith(mark)), "utf-8-sig"))
    place = text.find("\0")
    if place >= 0:  # UTF-16 without a mark, or no text at all
        raise UnicodeDecodeError("utf-8", b"\0", 0, 1, f"a zero stands at {place}")
    return text
