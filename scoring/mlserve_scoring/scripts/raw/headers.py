"""Headers as Flask shows them: pairs in their order, names in any case, several values of one name."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ClassVar, Final, TypeVar, overload

from mlserve_scoring.scripts.raw.fields import with_parameters
from mlserve_scoring.scripts.raw.values import MultiDict, pairs_of, unchangeable

Other = TypeVar("Other")

_MISSING: Final = object()
_LINE_END: Final = re.compile(r"[\r\n]")


class Headers:
    """The headers of a response, which may be changed."""

    def __init__(self, given: object = None) -> None:
        self._pairs: list[tuple[str, str]] = []
        if given is not None:
            self.extend(given)

    def _first(self, name: object) -> str | None:
        key = str(name).lower()
        return next((value for each, value in self._pairs if each.lower() == key), None)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: Other) -> str | Other: ...
    @overload
    def get(self, name: str, default: Other, type: Callable[[str], Other]) -> Other: ...
    @overload
    def get(self, name: str, *, type: Callable[[str], Other]) -> Other | None: ...
    def get(self, name: str, default: object = None, type: Callable[[str], object] | None = None) -> object:
        """Return the first value, converted if asked; the default where there is none that can be."""
        value = self._first(name)
        if value is None or type is None:
            return default if value is None else value
        try:
            return type(value)
        except ValueError:
            return default

    @overload
    def getlist(self, name: str) -> list[str]: ...
    @overload
    def getlist(self, name: str, type: Callable[[str], Other]) -> list[Other]: ...
    def getlist(self, name: str, type: Callable[[str], Other] | None = None) -> list[str] | list[Other]:
        """Return all values of a name, converted if asked; those that cannot be are left out."""
        key = name.lower()
        values = [value for each, value in self if each.lower() == key]
        if type is None:
            return values
        found = []
        for value in values:
            with contextlib.suppress(ValueError):
                found.append(type(value))
        return found

    def get_all(self, name: str) -> list[str]:
        """Return all values of a name."""
        return self.getlist(name)

    def items(self, lower: bool = False) -> Iterator[tuple[str, str]]:
        """Return every name with every value, in lower case if asked."""
        return ((name.lower() if lower else name, value) for name, value in self)

    def keys(self, lower: bool = False) -> Iterator[str]:
        """Return the names, as often as they have values."""
        return (name for name, _ in self.items(lower))

    def values(self) -> Iterator[str]:
        """Return all values."""
        return (value for _, value in self)

    def to_wsgi_list(self) -> list[tuple[str, str]]:
        """Return every name with every value."""
        return list(self)

    def copy(self) -> Headers:
        """Return the same headers, to be changed on their own."""
        return Headers(self._pairs)

    def add(self, name: str, value: object, /, **parameters: object) -> None:
        """Add a value beside those there are, with parameters such as ``filename="a.csv"``."""
        self._pairs.append((name, _text(value, parameters)))

    def add_header(self, name: str, value: object, /, **parameters: object) -> None:
        """Add a value beside those there are."""
        self.add(name, value, **parameters)

    def set(self, name: str, value: object, /, **parameters: object) -> None:
        """Set the one value, in the place of the first that there was."""
        text, key = _text(value, parameters), name.lower()
        places = [place for place, (each, _) in enumerate(self._pairs) if each.lower() == key]
        if not places:
            self._pairs.append((name, text))
            return
        self._pairs[places[0]] = (name, text)
        for place in reversed(places[1:]):
            del self._pairs[place]

    def setlist(self, name: str, values: Iterable[object]) -> None:
        """Set all values of a name; none removes it."""
        given = list(values)
        if not given:
            self.remove(name)
        for place, value in enumerate(given):
            (self.add if place else self.set)(name, value)

    def setdefault(self, name: str, default: object) -> str:
        """Return the first value, set to the default where there is none."""
        if name not in self:
            self.set(name, default)
        return self[name]

    def setlistdefault(self, name: str, default: Iterable[object]) -> list[str]:
        """Return all values, set to the defaults where there are none."""
        if name not in self:
            self.setlist(name, default)
        return self.getlist(name)

    def extend(self, given: object = None, /, **named: object) -> None:
        """Add values beside those there are."""
        for name, value in (*pairs_of(given or ()), *pairs_of(named)):
            self.add(name, value)

    def update(self, given: object = None, /, **named: object) -> None:
        """Set values in the place of those there are."""
        if isinstance(given, (Headers, MultiDict)):
            given = {name: given.getlist(name) for name in given.keys()}  # noqa: SIM118  # Headers iterate over pairs
        for part in (given or (), named):
            for name, value in part.items() if isinstance(part, Mapping) else part:  # type: ignore[attr-defined]
                if isinstance(value, (list, tuple, set)):
                    self.setlist(name, value)
                else:
                    self.set(name, value)

    def remove(self, name: str) -> None:
        """Remove all values of a name, if it has any."""
        key = name.lower()
        self._pairs[:] = [pair for pair in self._pairs if pair[0].lower() != key]

    def pop(self, name: str | int | None = None, default: object = _MISSING) -> object:
        """Remove a name and return its first value; without a name the last pair, with a number the one there."""
        if name is None or isinstance(name, int):
            return self._pairs.pop(-1 if name is None else name)
        value = self._first(name)
        if value is None and default is _MISSING:
            raise KeyError(name)
        self.remove(name)
        return default if value is None else value

    def popitem(self) -> tuple[str, str]:
        """Remove the last pair and return it."""
        return self._pairs.pop()

    def clear(self) -> None:
        """Remove all."""
        self._pairs.clear()

    @overload
    def __getitem__(self, name: str) -> str: ...
    @overload
    def __getitem__(self, name: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, name: slice) -> Headers: ...
    def __getitem__(self, name: str | int | slice) -> str | tuple[str, str] | Headers:
        """Return the first value of a name, or a pair by its place."""
        if isinstance(name, slice):
            return Headers(self._pairs[name])
        if isinstance(name, int):
            return self._pairs[name]
        value = self._first(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str | int | slice, value: object) -> None:
        """Set the one value of a name, or pairs by their place."""
        if isinstance(name, str):
            self.set(name, value)
        elif isinstance(name, int):
            self._pairs[name] = next(Headers([value]).items())
        else:
            self._pairs[name] = list(Headers(value))

    def __delitem__(self, name: str | int | slice) -> None:
        """Remove all values of a name, or pairs by their place."""
        if isinstance(name, str):
            self.remove(name)
        else:
            del self._pairs[name]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Return every name with every value."""
        return iter(self._pairs)

    def __len__(self) -> int:
        """Return how many values there are."""
        return len(self._pairs)

    def __contains__(self, name: object) -> bool:
        """Return whether a name has a value."""
        return self._first(name) is not None

    def __eq__(self, other: object) -> bool:
        """Return whether the same names have the same values, in any order."""
        if type(other) is not type(self):
            return NotImplemented
        return {(name.lower(), value) for name, value in self} == {(name.lower(), value) for name, value in other}

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __or__(self, other: object) -> Headers:
        """Return these headers, updated with others."""
        if not isinstance(other, Mapping):
            return NotImplemented
        both = self.copy()
        both.update(other)
        return both

    def __ior__(self, other: object) -> Headers:  # noqa: PYI034  # Self is of Python 3.11
        """Set values in the place of those there are."""
        if not isinstance(other, Iterable):
            return NotImplemented
        self.update(other)
        return self

    def __copy__(self) -> Headers:
        """Return the same headers, to be changed on their own."""
        return self.copy()

    def __str__(self) -> str:
        """Return the headers as they are sent."""
        return "".join(f"{name}: {value}\r\n" for name, value in self) + "\r\n"

    def __repr__(self) -> str:
        """Return every name with every value."""
        return f"{type(self).__name__}({list(self)!r})"


class RequestHeaders(Headers):
    """The headers of a request: names as ``Title-Case``, one value each, not to be changed."""

    def __init__(self, headers: Mapping[bytes, bytes]) -> None:
        super().__init__()
        self._sent = headers

    def _first(self, name: object) -> str | None:
        if not isinstance(name, str):
            return None
        value = self._sent.get(name.lower().replace("_", "-").encode("latin-1", "replace"))
        return None if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Return every name with its value."""
        return ((name.decode("latin-1").title(), value.decode("latin-1")) for name, value in self._sent.items())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._sent)

    def __getitem__(self, name: str) -> str:  # type: ignore[override]  # they have no order
        """Return the value of a name."""
        value = self._first(name)
        if value is None:
            raise KeyError(name)
        return value

    def __eq__(self, other: object) -> bool:
        """Return whether they are of the same request."""
        return isinstance(other, RequestHeaders) and self._sent is other._sent

    __hash__: ClassVar[None] = None

    def copy(self) -> Headers:
        """Refuse, as Flask does."""
        raise TypeError("a request's headers cannot be copied; Headers are made of them with dict(request.headers)")

    def __or__(self, other: object) -> Headers:
        """Refuse, as Flask does."""
        return self.copy()

    __setitem__ = __delitem__ = __ior__ = unchangeable
    add = add_header = set = setlist = setdefault = setlistdefault = unchangeable
    extend = update = remove = pop = popitem = clear = unchangeable


def _text(value: object, parameters: Mapping[str, object]) -> str:
    text = str(value)
    if parameters:
        text = with_parameters(text, {name.replace("_", "-"): each for name, each in parameters.items()})
    if _LINE_END.search(text):
        raise ValueError("Header values must not contain newline characters.")
    return text
