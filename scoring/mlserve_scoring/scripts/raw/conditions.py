"""The terms of a conditional or partial request: entity tags and ranges. RFC 9110, 13 and 14."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from mlserve_scoring.scripts.raw.fields import date_of, http_date, tag_of, tag_text, whole_number
from mlserve_scoring.scripts.raw.members import Refused

_TAG: Final = re.compile(r'[ \t]*([Ww]/)?(?:"([^"]*)"|([^" \t,]+))[ \t]*(?:,|\Z)', re.ASCII)


def tag_for(content: bytes) -> str:
    """Return the entity tag of a body."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


class ETags(Collection[str]):
    """The tags of ``If-Match`` or ``If-None-Match``."""

    def __init__(self, strong: Iterable[str] = (), weak: Iterable[str] = (), star_tag: bool = False) -> None:
        self._strong = frozenset(() if star_tag else strong)
        self._weak = frozenset(weak)
        self.star_tag = star_tag

    def as_set(self, include_weak: bool = False) -> set[str]:
        """Return the strong tags, and the weak ones if asked."""
        return set(self._strong | self._weak if include_weak else self._strong)

    def is_weak(self, etag: str) -> bool:
        """Return whether a tag is a weak one."""
        return etag in self._weak

    def is_strong(self, etag: str) -> bool:
        """Return whether a tag is a strong one."""
        return etag in self._strong

    def contains(self, etag: str) -> bool:
        """Return whether a tag is a strong one, or all are meant."""
        return self.star_tag or self.is_strong(etag)

    def contains_weak(self, etag: str) -> bool:
        """Return whether a tag is any of them, or all are meant."""
        return self.is_weak(etag) or self.contains(etag)

    def contains_raw(self, etag: str) -> bool:
        """Return whether a tag as headers write it is one of them."""
        tag, weak = tag_of(etag)
        return self.contains_weak(str(tag)) if weak else self.contains(str(tag))

    def to_header(self) -> str:
        """Return the tags as a header has them."""
        tags = [*map(tag_text, self._strong), *(tag_text(tag, weak=True) for tag in self._weak)]
        return "*" if self.star_tag else ", ".join(tags)

    def __call__(self, etag: str | None = None, data: bytes | None = None, include_weak: bool = False) -> bool:
        """Return whether a tag, or that of a body, is one of them."""
        if etag is None:
            if data is None:
                raise TypeError("'data' is required when 'etag' is not given.")
            etag = tag_for(data)
        return self.is_strong(etag) or (include_weak and self.is_weak(etag))

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.star_tag or self._strong or self._weak)

    def __len__(self) -> int:
        """Return how many strong ones there are."""
        return len(self._strong)

    def __iter__(self) -> Iterator[str]:
        """Return the strong ones."""
        return iter(self._strong)

    def __contains__(self, etag: object) -> bool:
        """Return whether a tag is a strong one, or all are meant."""
        return self.contains(str(etag))

    def __str__(self) -> str:
        """Return the tags as a header has them."""
        return self.to_header()

    def __repr__(self) -> str:
        """Return the tags."""
        return f"<{type(self).__name__} {str(self)!r}>"


def tags_of(value: str | None) -> ETags:
    """Return the tags of a header; what is none is passed over."""
    if not value:
        return ETags()
    if value == "*":
        return ETags(star_tag=True)
    place, strong, weak = 0, [], []  # type: int, list[str], list[str]
    while True:
        found = _TAG.match(value, place)
        if found is not None:
            (weak if found[1] else strong).append(found[3] if found[2] is None else found[2])
            place = found.end()
            continue
        place = value.find(",", place) + 1
        if not place:
            return ETags(strong, weak)


class IfRange:
    """A tag, a date or neither, of ``If-Range``."""

    def __init__(self, etag: str | None = None, date: datetime | None = None) -> None:
        self.etag = etag
        self.date = date

    def to_header(self) -> str:
        """Return it as a header has it."""
        if self.date is not None:
            return http_date(self.date)
        return "" if self.etag is None else tag_text(self.etag)

    def __str__(self) -> str:
        """Return it as a header has it."""
        return self.to_header()

    def __repr__(self) -> str:
        """Return it as a header has it."""
        return f"<{type(self).__name__} {str(self)!r}>"


def if_range_of(value: str | None) -> IfRange:
    """Return what ``If-Range`` says."""
    date = date_of(value)
    return IfRange(tag_of(value)[0]) if date is None else IfRange(date=date)


class Range:
    """The parts of a body that are asked for, as ``(first, behind the last)``."""

    def __init__(self, units: str, ranges: Sequence[tuple[int, int | None]]) -> None:
        self.units = units
        self.ranges = ranges
        for start, end in ranges:
            if start is None or (end is not None and not 0 <= start < end):
                raise ValueError(f"{(start, end)} is not a valid range.")

    make_content_range = Refused("use to_content_range_header()")

    def range_for_length(self, length: int | None) -> tuple[int, int] | None:
        """Return the one part of a body of that length; ``None`` where that is not what is asked for."""
        if self.units != "bytes" or length is None or len(self.ranges) != 1:
            return None
        start, end = self.ranges[0]
        if end is None:
            start, end = (start + length if start < 0 else start), length
        return (start, min(end, length)) if 0 <= start < min(end, length) else None

    def to_content_range_header(self, length: int | None) -> str | None:
        """Return the ``Content-Range`` of the answer to it; ``None`` where there is none."""
        part = self.range_for_length(length)
        return None if part is None else f"{self.units} {part[0]}-{part[1] - 1}/{length}"

    def to_header(self) -> str:
        """Return it as a header has it."""
        parts = [
            f"{start}-{end - 1}" if end is not None else f"{start}-" if start >= 0 else str(start)
            for start, end in self.ranges
        ]
        return f"{self.units}={','.join(parts)}"

    def __str__(self) -> str:
        """Return it as a header has it."""
        return self.to_header()

    def __repr__(self) -> str:
        """Return it as a header has it."""
        return f"<{type(self).__name__} {str(self)!r}>"


def range_of(value: str | None) -> Range | None:
    """Return what ``Range`` says; ``None`` where it says nothing that can be, such as parts out of order."""
    units, equals, text = (value or "").partition("=")
    if not equals:
        return None
    ranges: list[tuple[int, int | None]] = []
    behind: int | None = 0
    try:
        for item in text.split(","):
            first, dash, last = item.strip(" \t").partition("-")
            if not dash or behind is None:
                return None
            start = whole_number(first) if first else -whole_number(last)
            end = whole_number(last) + 1 if first and last.strip(" \t") else None
            if (start < behind if first else start >= 0) or (end is not None and start >= end):
                return None
            ranges.append((start, end))
            behind = end
    except ValueError:
        return None
    return Range(units.strip(" \t").lower(), ranges)
