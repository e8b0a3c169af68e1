"""Parameters with several values of one name, as Flask's ``request.args``, ``form``, ``values``, ``files`` are.

The dictionary itself holds the first value of each name, so that whatever writes dictionaries writes these; all values
stand beside it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import repeat
from typing import ClassVar, Final, NoReturn, TypeVar, overload

from mlserve_scoring.scripts.raw.members import Refused

Value = TypeVar("Value")
Other = TypeVar("Other")
Self = TypeVar("Self", bound="MultiDict[object]")

_MISSING: Final = object()


def pairs_of(given: object) -> Iterator[tuple[str, object]]:
    """Yield names and values of what may be given as such: pairs, or a mapping whose values may be lists of them."""
    if isinstance(given, MultiDict):
        yield from given.items(multi=True)
    elif isinstance(given, Mapping):
        for name, value in given.items():
            for each in value if isinstance(value, (list, tuple, set)) else (value,):
                yield name, each
    else:
        yield from given  # type: ignore[misc]  # it must be pairs then


class MultiDict(dict[str, Value]):
    """A dictionary of first values; ``getlist`` and its like know the others."""

    def __init__(self, given: object = ()) -> None:
        self._lists: dict[str, list[Value]] = {}
        if isinstance(given, MultiDict):
            self._lists = {name: list(values) for name, values in given.lists()}
        else:
            for name, value in pairs_of(given or ()):
                self._lists.setdefault(name, []).append(value)  # type: ignore[arg-type]
        super().__init__({name: values[0] for name, values in self._lists.items()})

    @classmethod
    def fromkeys(cls, names: Iterable[str], value: object = None) -> MultiDict[Value]:  # type: ignore[override]
        """Return one with the same value for every name."""
        return cls(zip(names, repeat(value)))

    setlistdefault = Refused("use getlist() and setlist()")

    @overload  # type: ignore[override]
    def get(self, name: str) -> Value | None: ...
    @overload
    def get(self, name: str, default: Other) -> Value | Other: ...
    @overload
    def get(self, name: str, default: Other, type: Callable[[Value], Other]) -> Other: ...
    @overload
    def get(self, name: str, *, type: Callable[[Value], Other]) -> Other | None: ...
    def get(self, name: str, default: object = None, type: Callable[[Value], object] | None = None) -> object:
        """Return the first value, converted if asked; the default where there is none that can be."""
        if name not in self:
            return default
        if type is None:
            return self[name]
        try:
            return type(self[name])
        except (ValueError, TypeError):
            return default

    @overload
    def getlist(self, name: str) -> list[Value]: ...
    @overload
    def getlist(self, name: str, type: Callable[[Value], Other]) -> list[Other]: ...
    def getlist(self, name: str, type: Callable[[Value], Other] | None = None) -> list[Value] | list[Other]:
        """Return all values of a name, converted if asked; those that cannot be are left out."""
        values = self._lists.get(name, [])
        if type is None:
            return list(values)
        found = []
        for value in values:
            with contextlib.suppress(ValueError, TypeError):
                found.append(type(value))
        return found

    def items(self, multi: bool = False) -> Iterator[tuple[str, Value]]:  # type: ignore[override]
        """Return names with first values, or with every value."""
        if multi:
            return ((name, value) for name, values in self._lists.items() for value in values)
        return iter(super().items())

    def values(self) -> Iterator[Value]:  # type: ignore[override]
        """Return the first values."""
        return iter(super().values())

    def lists(self) -> Iterator[tuple[str, list[Value]]]:
        """Return names with all their values."""
        return ((name, list(values)) for name, values in self._lists.items())

    def listvalues(self) -> Iterator[list[Value]]:
        """Return the lists of values."""
        return (list(values) for values in self._lists.values())

    def to_dict(self, flat: bool = True) -> dict[str, Value] | dict[str, list[Value]]:
        """Return the first value of each name, or all of them."""
        return dict(self.items()) if flat else dict(self.lists())

    def copy(self) -> MultiDict[Value]:
        """Return one that may be changed."""
        return MultiDict(self)

    def deepcopy(self, memo: dict[int, object] | None = None) -> MultiDict[Value]:
        """Return one with copies of the values."""
        return type(self)(copy.deepcopy(self.to_dict(flat=False), memo))

    def __setitem__(self, name: str, value: Value) -> None:
        """Set the one value."""
        self.setlist(name, [value])

    def __delitem__(self, name: str) -> None:
        """Remove all values."""
        super().__delitem__(name)
        del self._lists[name]

    def add(self, name: str, value: Value) -> None:
        """Add a value beside those there are."""
        self.setlist(name, [*self.getlist(name), value])

    def setlist(self, name: str, new_list: Iterable[Value]) -> None:
        """Set all values of a name; none removes it."""
        values = list(new_list)
        if values:
            self._lists[name] = values
            super().__setitem__(name, values[0])
        elif name in self:
            del self[name]

    def setdefault(self, name: str, default: Value | None = None) -> Value | None:  # type: ignore[override]
        """Return the first value, set to the default where there is none."""
        if name not in self:
            self[name] = default  # type: ignore[assignment]  # as dictionaries allow
        return self[name]

    def update(self, given: object) -> None:  # type: ignore[override]  # Flask's takes no keywords either
        """Add values beside those there are."""
        for name, value in pairs_of(given):
            self.add(name, value)  # type: ignore[arg-type]

    def pop(self, name: str, default: object = _MISSING) -> object:  # type: ignore[override]
        """Remove a name and return its first value."""
        if name not in self and default is not _MISSING:
            return default
        return self.poplist(name)[0] if name in self else super().__getitem__(name)

    def popitem(self) -> tuple[str, Value]:
        """Remove the last name and return it with its first value."""
        name, values = self.popitemlist()
        return name, values[0]

    def poplist(self, name: str) -> list[Value]:
        """Remove a name and return its values."""
        super().pop(name, None)
        return self._lists.pop(name, [])

    def popitemlist(self) -> tuple[str, list[Value]]:
        """Remove the last name and return it with its values."""
        name, _ = super().popitem()
        return name, self._lists.pop(name)

    def clear(self) -> None:
        """Remove all."""
        super().clear()
        self._lists.clear()

    def __or__(self, other: object) -> MultiDict[Value]:  # type: ignore[override]
        """Return both."""
        if not isinstance(other, Mapping):
            return NotImplemented
        both = self.copy()
        both.update(other)
        return both

    def __ior__(self, other: object) -> MultiDict[Value]:  # type: ignore[override]
        """Add another's values."""
        if not isinstance(other, Iterable):
            return NotImplemented
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        """Return whether all values are the same; with a plain dictionary lists are compared."""
        return self._lists == (other._lists if isinstance(other, MultiDict) else other)

    def __ne__(self, other: object) -> bool:
        """Return whether some value differs."""
        return not self == other

    __hash__: ClassVar[None] = None

    def __reduce__(self) -> tuple[type, tuple[list[tuple[str, Value]]]]:
        """Return how it is made again."""
        return type(self), (list(self.items(multi=True)),)

    def __copy__(self) -> MultiDict[Value]:
        """Return one that may be changed."""
        return self.copy()

    def __deepcopy__(self, memo: dict[int, object]) -> MultiDict[Value]:
        """Return one with copies of the values."""
        return self.deepcopy(memo)

    def __repr__(self) -> str:
        """Return all names and values."""
        return f"{type(self).__name__}({list(self.items(multi=True))!r})"


def unchangeable(message: object, *_given: object, **_named: object) -> NoReturn:
    """Refuse to change what a client has sent."""
    raise TypeError(f"{type(message).__name__!r} objects are immutable")


class ImmutableMultiDict(MultiDict[Value]):
    """Parameters as they were sent; ``copy()`` may be changed."""

    __setitem__ = __delitem__ = __ior__ = unchangeable
    add = setlist = setdefault = update = unchangeable
    pop = popitem = poplist = popitemlist = clear = unchangeable
    setlistdefault = unchangeable

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a number that is the same for the same values."""
        return hash(frozenset(self.items(multi=True)))

    def __copy__(self) -> ImmutableMultiDict[Value]:
        """Return itself."""
        return self


class CombinedMultiDict(ImmutableMultiDict[Value]):
    """Several dictionaries as one; where one's value cannot be converted, the next one is asked."""

    def __init__(self, dicts: Iterable[MultiDict[Value]] = ()) -> None:
        self.dicts = list(dicts)
        super().__init__(pair for each in self.dicts for pair in each.items(multi=True))

    @classmethod
    def fromkeys(cls, *_given: object) -> NoReturn:
        """Refuse."""
        raise TypeError(f"cannot create {cls.__name__!r} instances by fromkeys")

    def get(self, name: str, default: object = None, type: Callable[[Value], object] | None = None) -> object:  # type: ignore[override]
        """Return the first value, converted if asked; the default where there is none that can be."""
        for each in self.dicts:
            value = each.get(name, _MISSING, type) if type else each.get(name, _MISSING)
            if value is not _MISSING:
                return value
        return default

    def items(self, multi: bool = False) -> Iterator[tuple[str, Value]]:  # type: ignore[override]
        """Return names with first values, or with every value in the order of the dictionaries."""
        if multi:
            return (pair for each in self.dicts for pair in each.items(multi=True))
        return super().items()

    def deepcopy(self, memo: dict[int, object] | None = None) -> MultiDict[Value]:
        """Return one with copies of the dictionaries."""
        return CombinedMultiDict(copy.deepcopy(self.dicts, memo))

    def __reduce__(self) -> tuple[type, tuple[list[MultiDict[Value]]]]:  # type: ignore[override]
        """Return how it is made again."""
        return type(self), (self.dicts,)

    def __repr__(self) -> str:
        """Return the dictionaries."""
        return f"{type(self).__name__}({self.dicts!r})"
