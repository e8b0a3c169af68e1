"""The forms in which header fields are written: lists, parameters, quoted text, dates, tags. RFC 9110, 5.6 and 8.8."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from time import mktime, struct_time
from typing import Final
from urllib.parse import quote, unquote

_TOKEN: Final = re.compile(r"[\w!#$%&'*+\-.^`|~]+", re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)", re.ASCII)
_ITEM: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+', re.DOTALL)
_CLOSED: Final = re.compile(r'(?:[^"]|"(?:[^"\\]|\\.)*")*', re.DOTALL)
_PARAMETER: Final = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:("(?:[^"\\]|\\.)*")|([^;]*))')
_PART: Final = re.compile(r"(?:\*(\d+))?(\*)?$", re.ASCII)
_CHARSETS: Final = frozenset({"ascii", "us-ascii", "utf-8", "iso-8859-1"})
_WHOLE: Final = re.compile(r"-?[0-9]+", re.ASCII)
_KEPT: Final = "%!#$&'()*+,/:;=?@"  # those that part a URI, and the percent of what is escaped already
_URI: Final = re.compile(rf"[\w.~\-{_KEPT}]*", re.ASCII)
_AUTHORITY: Final = re.compile(r"((?:[a-z][a-z0-9+.\-]*:)?//)([^/?#\s]*)", re.ASCII | re.IGNORECASE)


def quoted(value: object, *, always: bool = False) -> str:
    """Return a value as it stands in a header: as a token where it is one, else in quotes."""
    text = str(value)
    if _TOKEN.fullmatch(text) and not always:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """Return the text within quotes."""
    return _ESCAPED.sub(r"\1", text[1:-1]) if len(text) > 1 and text[0] == text[-1] == '"' else text


def whole_number(text: str) -> int:
    """Return a whole number written in plain digits.

    Raises:
        ValueError: It is none.
    """
    if not _WHOLE.fullmatch(text.strip(" \t")):
        raise ValueError(f"expected a whole number, got {text!r}")
    return int(text)


def list_of(value: str) -> list[str]:
    """Return the items between commas; none where a quote is not closed."""
    if not _CLOSED.fullmatch(value):
        return []
    items = (item.strip(" \t") for item in _ITEM.findall(value))
    return [unquoted(item) for item in items if item]


def dict_of(value: str) -> dict[str, str | None]:
    """Return the items between commas by name; ``None`` for those without a value."""
    found: dict[str, str | None] = {}
    for item in list_of(value):
        name, equals, text = (part.strip(" \t") for part in item.partition("="))
        if name.endswith("*") and equals:
            found[name[:-1]] = unquoted(_extended(text, "")[0])
        elif name:
            found[name] = unquoted(text) if equals else None
    return found


def listed(items: Mapping[str, object] | Iterable[object]) -> str:
    """Return items with commas between them, those of a mapping as ``name=value``."""
    if not isinstance(items, Mapping):
        return ", ".join(map(quoted, items))
    return ", ".join(
        name if value is None else f"{name}={value}" if name.endswith("*") else f"{name}={quoted(value)}"
        for name, value in items.items()
    )


def with_parameters(value: str | None, parameters: Mapping[str, object]) -> str:
    """Return a value with its parameters, such as ``attachment; filename=a.csv``."""
    texts = [] if value is None else [value]
    for name, each in parameters.items():
        if each is not None:
            texts.append(f"{name}={each}" if name.endswith("*") else f"{name}={quoted(each)}")
    return "; ".join(texts)


def main_value(value: str) -> str:
    """Return a value without its parameters."""
    return value.partition(";")[0].strip(" \t")


def parameters_of(value: str) -> dict[str, str]:
    """Return the parameters of a header such as ``form-data; name="image"; filename="a;b.png"``."""
    found: dict[str, list[str]] = {}
    charsets: dict[str, str] = {}
    for key, in_quotes, plain in _PARAMETER.findall(value):
        # Browsers escape quotes alone; a backslash before anything else is part of a Windows path.
        text = in_quotes[1:-1].replace('\\"', '"') if in_quotes else plain.strip()
        mark = _PART.search(key)
        name = key[: mark.start()].lower() if mark else key.lower()
        if mark and mark[2]:
            text, charsets[name] = _extended(text, charsets.get(name, ""))
        else:
            text = text.replace("%22", '"')  # as browsers write a quote in a file's name
        if mark and mark[1] and mark[1].strip("0"):  # RFC 2231, 3: the parts of a long value, numbered from 0
            found.setdefault(name, []).append(text)
        elif not (name in charsets and name in found and not (mark and mark[2])):
            found[name] = [text]
    return {name: "".join(parts) for name, parts in found.items()}


def _extended(text: str, charset: str) -> tuple[str, str]:
    """Return the text of a value such as ``UTF-8''gr%C3%BCn`` and its charset. RFC 8187."""
    parts = text.split("'", 2)
    if len(parts) == 3:  # noqa: PLR2004  # charset, language, text
        charset, text = parts[0].lower() or charset, parts[2]
    return (unquote(text, encoding=charset) if charset in _CHARSETS else text), charset


def uri_of(text: str) -> str:
    """Return an address with what a URI cannot hold escaped as UTF-8, the name of a host by IDNA. RFC 3987, 3.1."""
    if _URI.fullmatch(text):
        return text
    found = _AUTHORITY.match(text)
    start, authority = (found[1], found[2]) if found else ("", "")
    rest = text[len(start) + len(authority) :]
    return f"{start}{_authority(authority)}{_escaped_uri(rest)}"


def _authority(text: str) -> str:
    """Return user, host and port of an address in the signs of a URI."""
    user, at, host = text.rpartition("@")
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:  # no name of the DNS
        host = _escaped_uri(host)
    return f"{_escaped_uri(user)}{at}{host}"


def _escaped_uri(text: str) -> str:
    return quote(text, safe=_KEPT, errors="surrogatepass")


def http_date(moment: object = None) -> str:
    """Return a date as headers write it. A datetime without zone is UTC; a number is seconds since 1970."""
    from email.utils import format_datetime, formatdate  # noqa: PLC0415  slow to import, and few need it

    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if isinstance(moment, datetime):
        zoned = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
        return format_datetime(zoned, usegmt=True)
    seconds = mktime(moment) if isinstance(moment, struct_time) else moment
    return formatdate(seconds, usegmt=True)  # type: ignore[arg-type]  # a number, or nothing for now


def date_of(value: str | None) -> datetime | None:
    """Return a header's date; ``None`` where it is none, or where the calendar of UTC does not reach."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  slow to import, and few need it

    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=timezone.utc)
        moment.astimezone(timezone.utc)  # as http_date writes it
    except (TypeError, ValueError, OverflowError):
        return None
    return moment


def age_of(value: str) -> timedelta | None:
    """Return a number of seconds as a span of time; ``None`` where it is none.

    Raises:
        ValueError: It is no number.
    """
    seconds = int(value)
    try:
        return timedelta(seconds=seconds) if seconds >= 0 else None
    except OverflowError:
        return None


def age_text(age: timedelta | int | None) -> str | None:
    """Return a span of time in seconds.

    Raises:
        ValueError: It is negative.
    """
    if age is None:
        return None
    seconds = int(age.total_seconds() if isinstance(age, timedelta) else age)
    if seconds < 0:
        raise ValueError("age cannot be negative")
    return str(seconds)


def tag_text(tag: str, *, weak: bool = False) -> str:
    """Return an entity tag as headers write it.

    Raises:
        ValueError: It holds a quote.
    """
    if '"' in tag:
        raise ValueError("invalid etag")
    return f'W/"{tag}"' if weak else f'"{tag}"'


def tag_of(value: str | None) -> tuple[str, bool] | tuple[None, None]:
    """Return an entity tag and whether it is weak."""
    if not value:
        return None, None
    weak = value[:2] in {"W/", "w/"}
    tag = value[2:] if weak else value
    return (tag[1:-1] if tag.startswith('"') and tag.endswith('"') else tag), weak
