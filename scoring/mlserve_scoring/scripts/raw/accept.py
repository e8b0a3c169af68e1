"""What a client accepts, best first: ``Accept`` and its like. RFC 9110, 12.5."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Final, SupportsIndex, TypeVar

from mlserve_scoring.scripts.raw.fields import list_of, main_value, parameters_of, with_parameters
from mlserve_scoring.scripts.raw.values import unchangeable

Kind = TypeVar("Kind", bound="Accept")

_QUALITY: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_MIME_PARTS: Final = re.compile(r"/|[ \t]*;[ \t]*")
_TAG_PARTS: Final = re.compile(r"[_-]")


class ImmutableList(list[object]):
    """A list of what a client has sent."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = unchangeable
    append = extend = insert = pop = remove = reverse = sort = clear = unchangeable

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a number that is the same for the same items."""
        return hash(tuple(self))

    def __repr__(self) -> str:
        """Return the items."""
        return f"{type(self).__name__}({super().__repr__()})"


class Accept(list[tuple[str, float]]):
    """Values with their quality, the most specific first and of these the best. It cannot be changed."""

    def __init__(self, values: Iterable[tuple[str, float]] | None = ()) -> None:
        self.provided: bool = getattr(values, "provided", values is not None)
        super().__init__(sorted(values or (), key=lambda pair: (self._specific(pair[0]), pair[1]), reverse=True))

    def _specific(self, value: str) -> tuple[bool, ...]:
        return (value != "*",)

    def _fits(self, value: str, item: str) -> bool:
        return item == "*" or item.lower() == value.lower()

    def quality(self, key: str) -> float:
        """Return how much a value is liked, from 0 to 1."""
        return next((quality for item, quality in self if self._fits(key, item)), 0)

    def __getitem__(self, key: str | SupportsIndex) -> object:  # type: ignore[override]
        """Return the quality of a value, or the pair at a place."""
        return self.quality(key) if isinstance(key, str) else super().__getitem__(key)

    def __contains__(self, value: object) -> bool:
        """Return whether a value is named or meant."""
        return self._takes(str(value))

    def _takes(self, value: str) -> bool:
        return any(self._fits(value, item) for item, _ in self)

    def index(self, key: object) -> int:  # type: ignore[override]
        """Return the place of a value.

        Raises:
            ValueError: It has none.
        """
        for place, pair in enumerate(self):
            if self._fits(key, pair[0]) if isinstance(key, str) else key == pair:
                return place
        raise ValueError(key)

    def find(self, key: object) -> int:
        """Return the place of a value; -1 where it has none."""
        try:
            return self.index(key)
        except ValueError:
            return -1

    def values(self) -> Iterator[str]:
        """Return the values."""
        return (value for value, _ in self)

    @property
    def best(self) -> str | None:
        """Return the first value."""
        return next(self.values(), None)

    def best_match(self, matches: Iterable[str], default: str | None = None) -> str | None:
        """Return which of the values offered is liked best; of equals the more specific, then the first."""
        best, found = (0.0, ()), default  # type: tuple[float, tuple[bool, ...]], str | None
        for offered in matches:
            item, quality = next(((item, quality) for item, quality in self if self._fits(offered, item)), ("", 0))
            rank = (quality, self._specific(item))
            if quality > 0 and rank > best:
                best, found = rank, offered
        return found

    def to_header(self) -> str:
        """Return the values as a header has them."""
        return ",".join(value if quality == 1 else f"{value};q={quality}" for value, quality in self)

    def copy(self) -> list[tuple[str, float]]:
        """Return a plain list."""
        return list(self)

    __setitem__ = __delitem__ = __iadd__ = __imul__ = unchangeable
    append = extend = insert = pop = remove = reverse = sort = unchangeable
    clear = unchangeable

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a number that is the same for the same values."""
        return hash(tuple(self))

    def __str__(self) -> str:
        """Return the values as a header has them."""
        return self.to_header()

    def __repr__(self) -> str:
        """Return values and qualities."""
        return f"{type(self).__name__}({list(self)!r})"


class MIMEAccept(Accept):
    """Accepted types, such as ``text/*``."""

    def _specific(self, value: str) -> tuple[bool, ...]:
        return tuple(part != "*" for part in _MIME_PARTS.split(value))

    def _fits(self, value: str, item: str) -> bool:
        if "/" not in item:
            return False
        kind, subtype, *parameters = _MIME_PARTS.split(value.lower()) if "/" in value else ("*", "")
        if kind == "*" and subtype != "*":
            raise ValueError(f"invalid mimetype {value!r}")
        accepted, accepted_subtype, *rest = _MIME_PARTS.split(item.lower())
        if accepted == "*" and accepted_subtype != "*":
            return False
        if "*" in {accepted, kind}:
            return True
        same = subtype == accepted_subtype and sorted(parameters) == sorted(rest)
        return accepted == kind and (same or "*" in {subtype, accepted_subtype})

    @property
    def accept_html(self) -> bool:
        """Return whether HTML is accepted."""
        return self._takes("text/html") or self.accept_xhtml

    @property
    def accept_xhtml(self) -> bool:
        """Return whether XHTML is accepted."""
        return self._takes("application/xhtml+xml") or self._takes("application/xml")

    @property
    def accept_json(self) -> bool:
        """Return whether JSON is accepted."""
        return self._takes("application/json")


class LanguageAccept(Accept):
    """Accepted languages, such as ``en-US``."""

    def _fits(self, value: str, item: str) -> bool:
        return item == "*" or _TAG_PARTS.split(value.lower()) == _TAG_PARTS.split(item.lower())

    def best_match(self, matches: Iterable[str], default: str | None = None) -> str | None:
        """Return which language is liked best: as it is, else by what is accepted, else by what is offered."""
        offered = list(matches)
        exact = super().best_match(offered)
        if exact is not None:
            return exact
        accepted = Accept([(_TAG_PARTS.split(item, maxsplit=1)[0], quality) for item, quality in self])
        close = accepted.best_match(offered)
        if close is not None:
            return close
        primary = super().best_match([_TAG_PARTS.split(item, maxsplit=1)[0] for item in offered])
        return default if primary is None else next(item for item in offered if item.startswith(primary))


class CharsetAccept(Accept):
    """Accepted charsets, by any of their names."""

    def _fits(self, value: str, item: str) -> bool:
        return item == "*" or _charset(value) == _charset(item)


def accepted(value: str | None, kind: type[Kind]) -> Kind:
    """Return what a header accepts; an item with an impossible quality is passed over."""
    if not value:
        return kind(None)
    found = []
    for item in list_of(value):
        parameters = parameters_of(item)
        said = parameters.pop("q", None)
        quality = 1 if said is None else float(said) if _QUALITY.fullmatch(said.strip()) else -1
        if 0 <= quality <= 1:
            found.append((with_parameters(main_value(item), parameters), quality))
    return kind(found)


def _charset(name: str) -> str:
    """Return the one name of a charset; ``codecs.lookup`` would keep each unknown name that a client sends for ever."""
    plain = normalize_encoding(name).lower()
    return aliases.get(plain) or aliases.get(plain.replace(".", "_"), plain)
