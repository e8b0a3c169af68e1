"""``Cache-Control``, and headers that are sets of names: ``Vary``, ``Allow`` and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSet
from typing import NoReturn

from mlserve_scoring.scripts.raw.fields import dict_of, list_of, listed
from mlserve_scoring.scripts.raw.members import Refused, WatchedDict
from mlserve_scoring.scripts.raw.values import unchangeable


class Directive:
    """A directive as an attribute: whether it is there, its text, or its number."""

    def __init__(self, name: str, kind: Callable[[str], object] = str, bare: object = None) -> None:
        self.name = name
        self.kind = kind
        self.bare = bare

    def __get__(self, control: CacheControl | None, owner: type) -> object:
        """Return its value; ``None`` where there is none that can be read."""
        if control is None:
            return self
        if self.kind is bool or self.name not in control:
            return self.name in control if self.kind is bool else None
        text = control[self.name]
        try:
            return self.bare if text is None else self.kind(text)
        except ValueError:
            return None

    def __set__(self, control: CacheControl, value: object) -> None:
        """Set it; ``True`` is without a value, ``False`` and ``None`` take it away."""
        if value is None or value is False or (self.kind is bool and not value):
            control.pop(self.name, None)
        elif value is True or self.kind is bool:
            control[self.name] = None
        else:
            control[self.name] = str(self.kind(value))  # type: ignore[arg-type]  # int takes numbers too

    def __delete__(self, control: CacheControl) -> None:
        """Take it away."""
        control.pop(self.name, None)


class CacheControl(WatchedDict[str | None]):
    """What request and response can say about caches."""

    no_store = Directive("no-store", bool)
    max_age = Directive("max-age", int)
    no_transform = Directive("no-transform", bool)
    stale_if_error = Directive("stale-if-error", int)
    cache_property = Refused("set further directives by name: response.cache_control['name'] = 'value'")

    def __init__(
        self,
        values: Mapping[str, str | None] | Iterable[tuple[str, str | None]] | None = (),
        on_update: Callable[[WatchedDict[str | None]], object] | None = None,
    ) -> None:
        super().__init__(values or ())
        self.on_update = on_update
        self.provided = values is not None

    def copy(self) -> dict[str, str | None]:
        """Return a plain dictionary."""
        return dict(self)

    def to_header(self) -> str:
        """Return the directives as a header has them."""
        return listed(self)

    def __str__(self) -> str:
        """Return the directives as a header has them."""
        return self.to_header()

    def __repr__(self) -> str:
        """Return the directives."""
        return f"<{type(self).__name__} {' '.join(f'{name}={value!r}' for name, value in sorted(self.items()))}>"


class RequestCacheControl(CacheControl):
    """What a request says about caches. It cannot be changed."""

    no_cache = Directive("no-cache", bool)
    max_stale = Directive("max-stale", int, bare=True)
    min_fresh = Directive("min-fresh", int)
    only_if_cached = Directive("only-if-cached", bool)

    __setitem__ = __delitem__ = __ior__ = unchangeable
    clear = update = popitem = setdefault = unchangeable

    def pop(self, *_given: object) -> NoReturn:
        """Refuse."""
        unchangeable(self)

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a number that is the same for the same directives."""
        return hash(frozenset(self.items()))


class ResponseCacheControl(CacheControl):
    """What a response says about caches; to change it writes its header."""

    no_cache = Directive("no-cache", bare=True)
    public = Directive("public", bool)
    private = Directive("private", bare=True)
    must_revalidate = Directive("must-revalidate", bool)
    proxy_revalidate = Directive("proxy-revalidate", bool)
    s_maxage = Directive("s-maxage", int)
    immutable = Directive("immutable", bool)
    must_understand = Directive("must-understand", bool)
    stale_while_revalidate = Directive("stale-while-revalidate", int)


def directives_of(value: str | None) -> dict[str, str | None]:
    """Return the directives of a header."""
    return dict_of(value) if value else {}


class HeaderSet(MutableSet[str]):
    """Names in any case, in their order; to change them writes their header."""

    def __init__(
        self, headers: Iterable[str] | None = None, on_update: Callable[[HeaderSet], object] | None = None
    ) -> None:
        self._names = list(headers or ())
        self.on_update = on_update

    def add(self, header: str) -> None:
        """Add a name."""
        self.update((header,))

    def update(self, iterable: Iterable[str]) -> None:
        """Add names."""
        before = len(self._names)
        for name in iterable:
            if name not in self:
                self._names.append(name)
        if len(self._names) != before:
            self._changed()

    def remove(self, header: str) -> None:
        """Remove a name.

        Raises:
            KeyError: There is no such name.
        """
        place = self.find(header)
        if place < 0:
            raise KeyError(header)
        del self[place]

    def discard(self, header: str) -> None:
        """Remove a name, if it is there."""
        if header in self:
            self.remove(header)

    def find(self, header: str) -> int:
        """Return the place of a name; -1 where it has none."""
        return next((place for place, name in enumerate(self) if name.lower() == header.lower()), -1)

    def index(self, header: str) -> int:
        """Return the place of a name.

        Raises:
            IndexError: It has none.
        """
        place = self.find(header)
        if place < 0:
            raise IndexError(header)
        return place

    def clear(self) -> None:
        """Remove all."""
        self._names.clear()
        self._changed()

    def as_set(self, preserve_casing: bool = False) -> set[str]:
        """Return the names, in lower case unless asked for as they are."""
        return {name if preserve_casing else name.lower() for name in self}

    def to_header(self) -> str:
        """Return the names as a header has them."""
        return listed(self._names)

    def _changed(self) -> None:
        if self.on_update is not None:
            self.on_update(self)

    def __getitem__(self, place: int) -> str:
        """Return the name at a place."""
        return self._names[place]

    def __setitem__(self, place: int, name: str) -> None:
        """Set the name at a place."""
        self._names[place] = name
        self._changed()

    def __delitem__(self, place: int) -> None:
        """Remove the name at a place."""
        del self._names[place]
        self._changed()

    def __contains__(self, header: object) -> bool:
        """Return whether there is a name."""
        return self.find(str(header)) >= 0

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many different names there are."""
        return len(self.as_set())

    def __str__(self) -> str:
        """Return the names as a header has them."""
        return self.to_header()

    def __repr__(self) -> str:
        """Return the names."""
        return f"{type(self).__name__}({self._names!r})"


def names_of(value: str | None, on_update: Callable[[HeaderSet], object] | None = None) -> HeaderSet:
    """Return the names in a header."""
    return HeaderSet(list_of(value) if value else (), on_update)
