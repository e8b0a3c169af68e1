"""What a response says before its body: status, headers, cookies, each as the attribute that Flask has for it.

What a script sets is sent, or refused when it is set. Most scripts set nothing after the constructor, so the headers
are a few words until someone asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from mlserve_scoring.scripts.raw import FAILED
from mlserve_scoring.scripts.raw.fields import (
    age_of,
    age_text,
    date_of,
    http_date,
    listed,
    parameters_of,
    tag_of,
    tag_text,
    with_parameters,
)
from mlserve_scoring.scripts.raw.headers import Headers
from mlserve_scoring.scripts.raw.members import Field, Refused, WatchedDict

if TYPE_CHECKING:
    from mlserve_scoring.scripts.raw.caching import HeaderSet, ResponseCacheControl

_TEXTS: Final = frozenset(
    f"application/{kind}"
    for kind in ("ecmascript", "javascript", "sql", "xml", "xml-dtd", "xml-external-parsed-entity")
)
_COOKIES: Final = re.compile(r",(?=\s*[^\s=;,]+=)")
_CONTROLS: Final = re.compile(r"[\x00-\x1f]")


def _header(name: str) -> Refused:
    return Refused(f"use response.headers[{name!r}]")


def _names(header: str) -> property:
    """Return an attribute that is a set of names in a header; it may be set to a text too."""

    def read(response: ResponseHead) -> HeaderSet:
        from mlserve_scoring.scripts.raw.caching import names_of  # noqa: PLC0415  few scripts need it

        return names_of(response.headers.get(header), lambda names: response._keep(header, names.to_header()))  # noqa: SLF001

    def write(response: ResponseHead, value: str | Iterable[str] | None) -> None:
        response._keep(header, value if isinstance(value, str) else listed(value or ()))  # noqa: SLF001

    return property(read, write)


def _set_of_names(text: str) -> HeaderSet:
    from mlserve_scoring.scripts.raw.caching import names_of  # noqa: PLC0415  few scripts need it

    return names_of(text)


class ResponseHead:
    """Status and headers of a response.

    Args:
        status: A number, or a text that begins with it.
        content_type: ``None`` for none.
        length: Of the body, where it is known.
        given: More headers; these win.
        run_failed: Whether ``run()`` is to count as failed.
    """

    max_cookie_size: int = 4093

    def __init__(
        self,
        status: int | str | HTTPStatus,
        content_type: str | None,
        length: int | None,
        given: Mapping[str, object] | None,
        *,
        run_failed: bool,
    ) -> None:
        self._headers: Headers | None = None
        self._given: list[tuple[str, str]] = []
        self._type, self._length, self._failed = content_type, length, run_failed
        if type(status) is int:
            self._status, self._status_code = "", status
        else:
            self.status = status
        if given:
            self._take(given)

    def _take(self, given: Mapping[str, object]) -> None:
        """Take the headers of the constructor: line ends become spaces, and ``Set-Cookie`` may hold several."""
        for name, value in given.items():
            text = str(value)
            if not text.isprintable():
                text = _CONTROLS.sub(" ", text)
            key = name.lower()
            if key == "content-type":
                self._type = text
            elif key == "set-cookie":
                self._given += [(name, each.strip()) for each in _COOKIES.split(text)]
            elif key == FAILED:
                self._failed = text.lower() == "true"
            else:
                self._given.append((name, text))

    @property
    def untouched(self) -> tuple[str | None, list[tuple[str, str]], bool] | None:
        """Return content type, other headers and whether ``run()`` failed, where nobody has asked for the headers."""
        return None if self._headers is not None else (self._type, self._given, self._failed)

    @property
    def status_code(self) -> int:
        """Return the status."""
        return self._status_code

    @status_code.setter
    def status_code(self, code: int | str | HTTPStatus) -> None:
        self.status = code

    @property
    def status(self) -> str:
        """Return the status with its words."""
        if not self._status:
            self._status = f"{self._status_code} {_words(self._status_code)}"
        return self._status

    @status.setter
    def status(self, value: str | int | HTTPStatus) -> None:
        """Set it by its number, or by a text that begins with that."""
        if isinstance(value, int):
            self._status, self._status_code = "", int(value)
            return
        text = value.strip()
        number, _, words = text.partition(" ")
        if not number.isdecimal():
            raise ValueError(f"status: expected a number, such as '202 Accepted', got {value!r}")
        self._status, self._status_code = text if words else "", int(number)

    @property
    def headers(self) -> Headers:
        """Return the headers."""
        if self._headers is None:
            self._headers = Headers()
            if self._type is not None:
                self._headers.add("Content-Type", self._type)
            if self._length is not None:
                self._headers.add("Content-Length", self._length)
            self._headers.add(FAILED, self._failed)
            self._headers.extend(self._given)
        return self._headers

    @headers.setter
    def headers(self, value: object) -> None:
        self._headers = value if isinstance(value, Headers) else Headers(value)

    def _keep(self, header: str, text: str) -> None:
        """Set a header, or remove it where there is nothing to say."""
        if text:
            self.headers.set(header, text)
        else:
            self.headers.remove(header)

    content_type = Field[str]("Content-Type")
    content_length = Field[int]("Content-Length", int, str)
    content_encoding = Field[str]("Content-Encoding")
    content_location = Field[str]("Content-Location")
    content_md5 = Field[str]("Content-MD5")
    location = Field[str]("Location")
    accept_ranges = Field[str]("Accept-Ranges")
    age = Field[timedelta | int | None]("Age", age_of, age_text)
    expires = Field[datetime | None]("Expires", date_of, http_date)
    last_modified = Field[datetime | None]("Last-Modified", date_of, http_date)
    access_control_allow_origin = Field[str]("Access-Control-Allow-Origin")
    access_control_max_age = Field[int]("Access-Control-Max-Age", int, str)
    access_control_allow_headers = Field["Iterable[str]"]("Access-Control-Allow-Headers", _set_of_names, listed)
    access_control_allow_methods = Field["Iterable[str]"]("Access-Control-Allow-Methods", _set_of_names, listed)
    access_control_expose_headers = Field["Iterable[str]"]("Access-Control-Expose-Headers", _set_of_names, listed)
    vary = _names("Vary")
    allow = _names("Allow")
    content_language = _names("Content-Language")
    date = Refused("the service sends the time at which it answers")
    content_range = _header("Content-Range")
    content_security_policy = _header("Content-Security-Policy")
    content_security_policy_report_only = _header("Content-Security-Policy-Report-Only")
    cross_origin_embedder_policy = _header("Cross-Origin-Embedder-Policy")
    cross_origin_opener_policy = _header("Cross-Origin-Opener-Policy")
    www_authenticate = _header("WWW-Authenticate")

    @property
    def mimetype(self) -> str | None:
        """Return the content type without its parameters."""
        value = self.content_type
        return value.partition(";")[0].strip() if value else None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self.headers.set("Content-Type", content_type_of(value))

    @property
    def mimetype_params(self) -> WatchedDict[str]:
        """Return the parameters of the content type; to change them writes it."""
        found = WatchedDict(parameters_of(self.content_type or ""))
        found.on_update = lambda given: self.headers.set("Content-Type", with_parameters(self.mimetype, given))
        return found

    @property
    def retry_after(self) -> datetime | None:
        """Return when to ask again. It is set to seconds or to a date."""
        value = self.headers.get("Retry-After")
        if value is None or not value.isdecimal():
            return date_of(value)
        return datetime.now(timezone.utc) + timedelta(seconds=int(value))

    @retry_after.setter
    def retry_after(self, value: datetime | int | str | None) -> None:
        self._keep(
            "Retry-After", http_date(value) if isinstance(value, datetime) else str("" if value is None else value)
        )

    @property
    def access_control_allow_credentials(self) -> bool:
        """Return whether browsers may send credentials."""
        return "Access-Control-Allow-Credentials" in self.headers

    @access_control_allow_credentials.setter
    def access_control_allow_credentials(self, value: bool | None) -> None:
        self._keep("Access-Control-Allow-Credentials", "true" if value is True else "")

    @property
    def cache_control(self) -> ResponseCacheControl:
        """Return what is said about caches; to change it writes the header."""
        from mlserve_scoring.scripts.raw import caching  # noqa: PLC0415  few scripts need it

        given = caching.directives_of(self.headers.get("Cache-Control"))
        return caching.ResponseCacheControl(given, lambda said: self._keep("Cache-Control", listed(said)))

    def set_etag(self, etag: str, weak: bool = False) -> None:
        """Set the tag of the body."""
        self.headers.set("ETag", tag_text(etag, weak=weak))

    def get_etag(self) -> tuple[str, bool] | tuple[None, None]:
        """Return the tag of the body and whether it is weak."""
        return tag_of(self.headers.get("ETag"))

    def set_cookie(  # noqa: PLR0913, PLR0917  # what a cookie has
        self,
        key: str,
        value: str = "",
        max_age: timedelta | int | None = None,
        expires: str | datetime | float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Set a cookie beside those that are set."""
        from mlserve_scoring.scripts.raw.credentials import cookie_text  # noqa: PLC0415  few scripts need it

        flags = (secure, httponly, samesite, partitioned)
        text = cookie_text(key, value, max_age, expires, path, domain, *flags, self.max_cookie_size)
        self.headers.add("Set-Cookie", text)

    def delete_cookie(  # noqa: PLR0913, PLR0917  # what a cookie has
        self,
        key: str,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Tell the client to forget a cookie."""
        self.set_cookie(key, "", 0, 0, path, domain, secure, httponly, samesite, partitioned)


def content_type_of(mimetype: str | None) -> str | None:
    """Return a content type with the charset that texts have."""
    if mimetype and (mimetype.startswith("text/") or mimetype.endswith("+xml") or mimetype in _TEXTS):
        return f"{mimetype}; charset=utf-8"
    return mimetype


def _words(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.upper()
    except ValueError:
        return "UNKNOWN"
