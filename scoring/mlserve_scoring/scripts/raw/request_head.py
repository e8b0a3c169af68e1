"""What a request says before its body, read as Flask reads it: types, cookies, credentials, what a client accepts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mlserve_scoring.scripts.raw.fields import date_of, whole_number
from mlserve_scoring.scripts.raw.headers import RequestHeaders
from mlserve_scoring.scripts.raw.members import Field, Once, mimetype_of, mimetype_params_of
from mlserve_scoring.scripts.raw.values import ImmutableMultiDict
from mlserve_scoring.transport.message import Request

if TYPE_CHECKING:
    from mlserve_scoring.scripts.raw.accept import Accept, CharsetAccept, LanguageAccept, MIMEAccept
    from mlserve_scoring.scripts.raw.caching import HeaderSet, RequestCacheControl
    from mlserve_scoring.scripts.raw.conditions import ETags, IfRange, Range
    from mlserve_scoring.scripts.raw.credentials import Authorization, UserAgent


class RequestHead:
    """The headers of a request and what they mean."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.method = request.method
        self.path = request.path

    @Once
    def headers(self) -> RequestHeaders:
        """Return the headers."""
        return RequestHeaders(self._request.headers)

    content_encoding = Field[str]("Content-Encoding", read_only=True)
    content_md5 = Field[str]("Content-MD5", read_only=True)
    referrer = Field[str]("Referer", read_only=True)
    origin = Field[str]("Origin", read_only=True)
    date = Field[datetime | None]("Date", date_of, read_only=True)
    max_forwards = Field[int]("Max-Forwards", int, read_only=True)
    access_control_request_method = Field[str]("Access-Control-Request-Method", read_only=True)
    mimetype = Once(mimetype_of)
    mimetype_params = Once(mimetype_params_of)

    @property
    def content_type(self) -> str | None:
        """Return the type of the body."""
        value = self._request.headers.get(b"content-type")
        return None if value is None else value.decode("latin-1")

    @Once
    def content_length(self) -> int | None:
        """Return the length of the body; ``None`` where there is none."""
        said = self.headers.get("Content-Length")
        if said is None:
            return len(self._request.body) or None
        try:
            return max(0, whole_number(said))
        except ValueError:
            return 0

    @Once
    def cookies(self) -> ImmutableMultiDict[str]:
        """Return the cookies sent."""
        from mlserve_scoring.scripts.raw.credentials import cookies_of  # noqa: PLC0415  few scripts need it

        return cookies_of(self.headers.get("Cookie"))

    @Once
    def authorization(self) -> Authorization | None:
        """Return who asks; ``None`` where nobody says."""
        from mlserve_scoring.scripts.raw.credentials import Authorization  # noqa: PLC0415  few scripts need it

        return Authorization.from_header(self.headers.get("Authorization"))

    @Once
    def user_agent(self) -> UserAgent:
        """Return what the client calls itself."""
        from mlserve_scoring.scripts.raw.credentials import UserAgent  # noqa: PLC0415  few scripts need it

        return UserAgent(self.headers.get("User-Agent", ""))

    @Once
    def accept_mimetypes(self) -> MIMEAccept:
        """Return the types that the client accepts."""
        from mlserve_scoring.scripts.raw.accept import MIMEAccept, accepted  # noqa: PLC0415  few scripts need it

        return accepted(self.headers.get("Accept"), MIMEAccept)

    @Once
    def accept_charsets(self) -> CharsetAccept:
        """Return the charsets that the client accepts."""
        from mlserve_scoring.scripts.raw.accept import CharsetAccept, accepted  # noqa: PLC0415  few scripts need it

        return accepted(self.headers.get("Accept-Charset"), CharsetAccept)

    @Once
    def accept_encodings(self) -> Accept:
        """Return the codings that the client accepts."""
        from mlserve_scoring.scripts.raw.accept import Accept, accepted  # noqa: PLC0415  few scripts need it

        return accepted(self.headers.get("Accept-Encoding"), Accept)

    @Once
    def accept_languages(self) -> LanguageAccept:
        """Return the languages that the client accepts."""
        from mlserve_scoring.scripts.raw.accept import LanguageAccept, accepted  # noqa: PLC0415  few scripts need it

        return accepted(self.headers.get("Accept-Language"), LanguageAccept)

    @Once
    def cache_control(self) -> RequestCacheControl:
        """Return what the client says about caches."""
        from mlserve_scoring.scripts.raw import caching  # noqa: PLC0415  few scripts need it

        return caching.RequestCacheControl(caching.directives_of(self.headers.get("Cache-Control")))

    @Once
    def pragma(self) -> HeaderSet:
        """Return what the client says about caches in the old way."""
        return self._names("Pragma")

    @property
    def access_control_request_headers(self) -> HeaderSet | None:
        """Return which headers a browser means to send."""
        name = "Access-Control-Request-Headers"
        return self._names(name) if name in self.headers else None

    def _names(self, header: str) -> HeaderSet:
        from mlserve_scoring.scripts.raw.caching import names_of  # noqa: PLC0415  few scripts need it

        return names_of(self.headers.get(header))

    @Once
    def if_match(self) -> ETags:
        """Return the tags that an answer must have."""
        return self._tags("If-Match")

    @Once
    def if_none_match(self) -> ETags:
        """Return the tags that an answer must not have."""
        return self._tags("If-None-Match")

    def _tags(self, header: str) -> ETags:
        from mlserve_scoring.scripts.raw.conditions import tags_of  # noqa: PLC0415  few scripts need it

        return tags_of(self.headers.get(header))

    @Once
    def if_modified_since(self) -> datetime | None:
        """Return since when an answer must be new."""
        return date_of(self.headers.get("If-Modified-Since"))

    @Once
    def if_unmodified_since(self) -> datetime | None:
        """Return since when an answer must be old."""
        return date_of(self.headers.get("If-Unmodified-Since"))

    @Once
    def if_range(self) -> IfRange:
        """Return when a part alone will do."""
        from mlserve_scoring.scripts.raw.conditions import if_range_of  # noqa: PLC0415  few scripts need it

        return if_range_of(self.headers.get("If-Range"))

    @Once
    def range(self) -> Range | None:
        """Return which parts are asked for."""
        from mlserve_scoring.scripts.raw.conditions import range_of  # noqa: PLC0415  few scripts need it

        return range_of(self.headers.get("Range"))
