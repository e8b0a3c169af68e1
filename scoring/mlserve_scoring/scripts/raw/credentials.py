"""Who asks: the ``Authorization`` header, cookies and the client's name for itself."""

from __future__ import annotations

import base64
import re
import warnings
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import quote

from mlserve_scoring.scripts.raw.fields import dict_of, http_date, listed
from mlserve_scoring.scripts.raw.values import ImmutableMultiDict


class Authorization:
    """A scheme with its parameters, such as ``username`` of ``basic``, or its token, as of ``bearer``."""

    def __init__(self, auth_type: str, data: dict[str, str | None] | None = None, token: str | None = None) -> None:
        self.type = auth_type
        self.parameters = data or {}
        self.token = token

    @classmethod
    def from_header(cls, value: str | None) -> Authorization | None:
        """Return what a header says; ``None`` where it says nothing or cannot be read."""
        scheme, _, rest = (value or "").partition(" ")
        kind, text = scheme.lower(), rest.strip(" \t")
        if not value:
            return None
        if kind == "basic":
            try:
                username, _, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
            except ValueError:
                return None
            return cls(kind, {"username": username, "password": password})
        return cls(kind, dict_of(text)) if "=" in text.rstrip("=") else cls(kind, None, text)

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return a parameter."""
        return self.parameters.get(key, default)

    def to_header(self) -> str:
        """Return it as a header has it."""
        if self.type == "basic":
            return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode('ascii')}"
        return f"{self.type.title()} {listed(self.parameters) if self.token is None else self.token}"

    def __getattr__(self, name: str) -> str | None:
        """Return a parameter; ``None`` where there is none."""
        if name.startswith("__") or name == "parameters":  # copies ask before there are parameters
            raise AttributeError(name)
        return self.parameters.get(name)

    def __getitem__(self, name: str) -> str | None:
        """Return a parameter; ``None`` where there is none."""
        return self.parameters.get(name)

    def __contains__(self, key: object) -> bool:
        """Return whether there is a parameter."""
        return key in self.parameters

    def __eq__(self, other: object) -> bool:
        """Return whether scheme, parameters and token are the same."""
        return isinstance(other, Authorization) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        """Return it as a header has it."""
        return self.to_header()

    def __repr__(self) -> str:
        """Return the scheme alone: what is printed gets into logs."""
        return f"<{type(self).__name__} {self.type.title()}>"


class UserAgent:
    """What a client calls itself: ``string``. The others are not read out of it."""

    platform: str | None = None
    browser: str | None = None
    version: str | None = None
    language: str | None = None

    def __init__(self, string: str) -> None:
        self.string = string

    def to_header(self) -> str:
        """Return it as a header has it."""
        return self.string

    def __str__(self) -> str:
        """Return it as a header has it."""
        return self.string

    def __bool__(self) -> bool:
        """Return whether the browser is known, which it never is."""
        return bool(self.browser)

    def __repr__(self) -> str:
        """Return what is known."""
        return f"<{type(self).__name__} {self.browser}/{self.version}>"


_COOKIE: Final = re.compile(
    r'[ \t]*([^ \t=";]+)(?:[ \t]*=[ \t]*("(?:[^\\"]|\\.)*"|[^ \t";]*))?[ \t]*(?:;|\Z)', re.ASCII
)
_ESCAPED: Final = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)
_PLAIN: Final = re.compile(r"[\w!#$%&'()*+\-./:<=>?@\[\]^`{|}~]*", re.ASCII)
_ODD: Final = re.compile(rb"[\x00-\x19\",;\\\x7f-\xff]")


def cookies_of(value: str | None) -> ImmutableMultiDict[str]:
    """Return the cookies in a header; what is none is passed over."""
    place, found = 0, []
    while value:
        cookie = _COOKIE.match(value, place)
        if cookie is not None:
            found.append((cookie[1], _cookie_value(cookie[2] or "")))
            place = cookie.end()
            continue
        place = value.find(";", place) + 1
        if not place:
            break
    return ImmutableMultiDict(found)


def _cookie_value(text: str) -> str:
    if not (len(text) > 1 and text[0] == text[-1] == '"'):
        return text
    plain = _ESCAPED.sub(lambda code: code[1] if len(code[1]) == 1 else bytes([int(code[1], 8)]), text[1:-1].encode())
    return plain.decode("utf-8", "replace")


def cookie_text(  # noqa: PLR0913, PLR0917  # what a cookie has
    key: str,
    value: str,
    max_age: timedelta | int | None,
    expires: str | datetime | float | None,
    path: str | None,
    domain: str | None,
    secure: bool,
    httponly: bool,
    samesite: str | None,
    partitioned: bool,
    limit: int,
) -> str:
    """Return a cookie as ``Set-Cookie`` has it; a lifetime is written as a date too.

    Raises:
        ValueError: ``samesite`` is none of ``Strict``, ``Lax`` and ``None``.
    """
    age = int(max_age.total_seconds()) if isinstance(max_age, timedelta) else max_age
    if expires is None and age is not None:
        expires = datetime.now(timezone.utc).timestamp() + age
    if samesite is not None and samesite.title() not in {"Strict", "Lax", "None"}:
        raise ValueError("SameSite must be 'Strict', 'Lax', or 'None'.")
    given = {
        "Domain": domain and domain.partition(":")[0].lstrip(".").encode("idna").decode("ascii"),
        "Expires": expires if expires is None or isinstance(expires, str) else http_date(expires),
        "Max-Age": age,
        "Secure": secure or partitioned,
        "HttpOnly": httponly,
        "Path": path if path is None else quote(path, safe="%!$&'()*+,/:=@"),
        "SameSite": samesite and samesite.title(),
        "Partitioned": partitioned,
    }
    said = {name: each for name, each in given.items() if each is not None and each is not False}
    parts = [name if each is True else f"{name}={each}" for name, each in said.items()]
    text = "; ".join((f"{key.encode().decode('latin-1')}={_cookie_text(value)}", *parts))
    if limit and len(text) > limit:
        warnings.warn(
            f"The {key!r} cookie is too large: {len(text)} bytes, and browsers may ignore what exceeds {limit}",
            stacklevel=3,
        )
    return text


def _cookie_text(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return f'"{_ODD.sub(_escape, value.encode()).decode("ascii")}"'


def _escape(sign: re.Match[bytes]) -> bytes:
    return b"\\" + sign[0] if sign[0] in {b'"', b"\\"} else b"\\%03o" % sign[0][0]
