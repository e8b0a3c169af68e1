"""Kinds of attributes of the request and the response: made once, kept in a header, fixed, refused.

Each of Flask's attributes is one of these or a plain property. What cannot be honoured is refused at once, with the
way that there is instead: an attribute that is stored and never looked at would be worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, overload

from mlserve_scoring.scripts.raw.fields import main_value, parameters_of

if TYPE_CHECKING:
    from mlserve_scoring.scripts.raw.headers import Headers

Value = TypeVar("Value")


class HasHeaders(Protocol):
    """A message."""

    @property
    def headers(self) -> Headers:
        """Return its headers."""


class HasType(Protocol):
    """What says of what type its content is."""

    @property
    def content_type(self) -> str | None:
        """Return the type with its parameters; ``None`` where nothing is said."""


def mimetype_of(message: HasType) -> str:
    """Return the content type without its parameters."""
    return main_value(message.content_type or "").lower()


def mimetype_params_of(message: HasType) -> dict[str, str]:
    """Return the parameters of the content type."""
    return parameters_of(message.content_type or "")


class Once(Generic[Value]):
    """An attribute that is made when it is first read and kept from then on. It may be set, as Flask's may."""

    def __init__(self, make: Callable[..., Value]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the name."""
        self.name = name

    @overload
    def __get__(self, message: None, owner: type) -> Once[Value]: ...
    @overload
    def __get__(self, message: object, owner: type) -> Value: ...
    def __get__(self, message: object | None, owner: type) -> Value | Once[Value]:
        """Return what was made, after this once found without coming here."""
        if message is None:
            return self
        value = message.__dict__[self.name] = self.make(message)
        return value


class Field(Generic[Value]):
    """An attribute that is a header: read from it, and written to it where a message may be changed."""

    def __init__(
        self,
        header: str,
        load: Callable[[str], Value] | None = None,
        dump: Callable[[Value], object] | None = None,
        *,
        read_only: bool = False,
    ) -> None:
        self.header = header
        self.load = load
        self.dump = dump
        self.read_only = read_only

    @overload
    def __get__(self, message: None, owner: type) -> Field[Value]: ...
    @overload
    def __get__(self, message: HasHeaders, owner: type) -> Value | None: ...
    def __get__(self, message: HasHeaders | None, owner: type) -> Value | Field[Value] | None:
        """Return the header's value; ``None`` where there is none that can be read."""
        if message is None:
            return self
        text = message.headers.get(self.header)
        if text is None or self.load is None:
            return text  # type: ignore[return-value]  # without a load the value is text
        try:
            return self.load(text)
        except (ValueError, TypeError):
            return None

    def __set__(self, message: HasHeaders, value: Value) -> None:
        """Write the header."""
        if self.read_only:
            raise AttributeError("read only property")
        message.headers.set(self.header, value if self.dump is None else self.dump(value))

    def __delete__(self, message: HasHeaders) -> None:
        """Remove the header."""
        if self.read_only:
            raise AttributeError("read only property")
        message.headers.remove(self.header)


class Fixed(Generic[Value]):
    """An attribute that is what it is: to set it to something else is refused."""

    def __init__(self, value: Value, why: str) -> None:
        self.value = value
        self.why = why

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the name."""
        self.place = f"{owner.__name__}.{name}"

    def __get__(self, message: object | None, owner: type) -> Value:
        """Return the value."""
        return self.value

    def __set__(self, message: object, value: object) -> None:
        """Refuse every other value."""
        own = self.__get__(message, type(message))
        if value is not own and value != own:
            raise AttributeError(f"{self.place}: is {own!r} here and cannot be set, got {value!r}; {self.why}")

    def __delete__(self, message: object) -> None:
        """Refuse."""
        raise AttributeError(f"{self.place}: cannot be removed; {self.why}")


class FixedCopy(Fixed[Value]):
    """A fixed attribute that can be changed within: each message has its own, so that no other sees the change."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the name."""
        super().__set_name__(owner, name)
        self.name = name

    def __get__(self, message: object | None, owner: type) -> Value:
        """Return the message's own."""
        if message is None:
            return copy(self.value)
        own: Value = message.__dict__.setdefault(self.name, copy(self.value))
        return own


class Refused:
    """An attribute of Flask's that there is not here; to read or to set it says what to do instead."""

    def __init__(self, instead: str) -> None:
        self.instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the name."""
        self.place = f"{owner.__name__}.{name}"

    def __get__(self, message: object | None, owner: type) -> object:
        """Refuse."""
        raise AttributeError(f"{self.place}: there is none here; {self.instead}")

    def __set__(self, message: object, value: object) -> None:
        """Refuse."""
        raise AttributeError(f"{self.place}: there is none here; {self.instead}")

    def __delete__(self, message: object) -> None:
        """Refuse."""
        raise AttributeError(f"{self.place}: there is none here; {self.instead}")


class WatchedDict(dict[str, Value]):
    """A dictionary that tells when it was changed, so that the header it came from can be written again."""

    on_update: Callable[[WatchedDict[Value]], object] | None = None

    def __setitem__(self, name: str, value: Value) -> None:
        """Set one."""
        super().__setitem__(name, value)
        self.changed()

    def __delitem__(self, name: str) -> None:
        """Remove one."""
        super().__delitem__(name)
        self.changed()

    def __ior__(self, other: object) -> WatchedDict[Value]:  # type: ignore[override, misc]  # as update
        """Set several."""
        self.update(other)  # type: ignore[arg-type]
        return self

    def clear(self) -> None:
        """Remove all."""
        super().clear()
        self.changed()

    def update(self, *given: Mapping[str, Value], **named: Value) -> None:  # type: ignore[override]  # no more is needed
        """Set several."""
        super().update(*given, **named)
        self.changed()

    def pop(self, name: str, *default: Value) -> Value:  # type: ignore[override]  # no more is needed
        """Remove one and return it."""
        value = super().pop(name, *default)
        self.changed()
        return value

    def popitem(self) -> tuple[str, Value]:
        """Remove the last and return it."""
        item = super().popitem()
        self.changed()
        return item

    def setdefault(self, name: str, default: Value) -> Value:
        """Set one that there is not."""
        value = super().setdefault(name, default)
        self.changed()
        return value

    def changed(self) -> None:
        """Tell."""
        if self.on_update is not None:
            self.on_update(self)
