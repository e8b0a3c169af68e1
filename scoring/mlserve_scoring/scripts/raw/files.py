"""Forms as clients send them: URL-encoded, and ``multipart/form-data`` with files."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from os import PathLike
from typing import IO, Final, NamedTuple
from urllib.parse import parse_qsl

from mlserve_scoring.scripts.raw.fields import main_value, parameters_of, whole_number
from mlserve_scoring.scripts.raw.headers import Headers
from mlserve_scoring.scripts.raw.members import Once, mimetype_of, mimetype_params_of
from mlserve_scoring.scripts.raw.values import ImmutableMultiDict


class FileStorage:
    """A file of a form. What it does not know itself is its stream's, such as ``read`` and ``seek``."""

    def __init__(  # noqa: PLR0913, PLR0917  # Flask's
        self,
        stream: IO[bytes] | None = None,
        filename: str | None = None,
        name: str | None = None,
        content_type: str | None = None,
        content_length: int | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.stream = stream or io.BytesIO()
        self.filename = filename
        self.name = name
        self.headers = Headers() if headers is None else headers
        if content_type is not None:
            self.headers["Content-Type"] = content_type
        if content_length is not None:
            self.headers["Content-Length"] = content_length

    @property
    def content_type(self) -> str | None:
        """Return the type that was sent for the file; often there is none."""
        return self.headers.get("Content-Type")

    @property
    def content_length(self) -> int:
        """Return the length that was sent for the file; clients send none, so 0."""
        try:
            return whole_number(self.headers.get("Content-Length", "0"))
        except ValueError:
            return 0

    mimetype = Once(mimetype_of)
    mimetype_params = Once(mimetype_params_of)

    def save(self, dst: str | PathLike[str] | IO[bytes], buffer_size: int = 16384) -> None:
        """Write the content, from where it was read to, to a path or a binary stream."""
        if isinstance(dst, (str, os.PathLike)):
            with open(dst, "wb") as file:  # noqa: PTH123  # v1 scripts pass any path-like
                shutil.copyfileobj(self.stream, file, buffer_size)
        else:
            shutil.copyfileobj(self.stream, dst, buffer_size)

    def close(self) -> None:
        """Close the stream."""
        self.stream.close()

    def __getattr__(self, name: str) -> object:
        """Return what the stream has."""
        if name == "stream":  # a copy asks before there is one
            raise AttributeError(name)
        return getattr(self.stream, name)

    def __iter__(self) -> Iterator[bytes]:
        """Return the lines."""
        return iter(self.stream)

    def __bool__(self) -> bool:
        """Return whether a file was chosen: browsers send one without name where none was."""
        return bool(self.filename)

    def __repr__(self) -> str:
        """Return name and type."""
        return f"<{type(self).__name__}: {self.filename!r} ({self.content_type!r})>"


class Form(NamedTuple):
    """What a form holds.

    Attributes:
        fields: Texts.
        files: The others.
        read: Whether the body was read for it.
    """

    fields: ImmutableMultiDict[str]
    files: ImmutableMultiDict[FileStorage]
    read: bool = True


def read_form(body: bytes, content_type: str) -> Form:
    """Return the form in a body; a broken one is empty."""
    kind = main_value(content_type).lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return Form(url_encoded(body.decode("utf-8")), ImmutableMultiDict())
        if kind == "multipart/form-data":
            return _multipart(body, parameters_of(content_type).get("boundary", ""))
    except ValueError:
        pass
    return Form(ImmutableMultiDict(), ImmutableMultiDict())


def url_encoded(text: str) -> ImmutableMultiDict[str]:
    """Return the parameters of a query or a URL-encoded form; bytes that are no UTF-8 stay as ``%FF``."""
    pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    return ImmutableMultiDict((_escaped(name), _escaped(value)) for name, value in pairs)


def _escaped(text: str) -> str:
    return text if text.isascii() else _SURROGATES.sub(lambda found: f"%{ord(found[0]) - _FIRST_SURROGATE:02X}", text)


_FIRST_SURROGATE: Final = 0xDC00  # of those that stand for bytes
_SURROGATES: Final = re.compile("[\udc80-\udcff]")


def _multipart(body: bytes, boundary: str) -> Form:
    if not boundary:
        return Form(ImmutableMultiDict(), ImmutableMultiDict(), read=False)
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, FileStorage]] = []
    for content, headers in _parts(body, boundary):
        given = parameters_of(headers["Content-Disposition"])
        name = given.get("name", "")
        if "filename" in given:
            files.append((name, FileStorage(io.BytesIO(content), given["filename"], name, headers=headers)))
        else:
            charset = parameters_of(headers.get("Content-Type", "")).get("charset", "").lower()
            fields.append((name, content.decode(charset if charset in _CHARSETS else "utf-8", "replace")))
    return Form(ImmutableMultiDict(fields), ImmutableMultiDict(files))


_CHARSETS: Final = frozenset({"ascii", "us-ascii", "utf-8", "iso-8859-1"})
_LONGEST_HEAD: Final = 65_536
_LINE: Final = rb"(?:\r\n|\n|\r)"
_BLANK: Final = re.compile(rb"\r\n\r\n|\r\r|\n\n")
_CONTINUED: Final = re.compile(rb"(?:\r\n|\n|\r)[ \t]+")


def _parts(body: bytes, boundary: str) -> Iterator[tuple[bytes, Headers]]:
    """Yield the content and the headers of each part.

    Raises:
        ValueError: They do not end as they should, or one says not what it is.
    """
    mark = re.escape(boundary.encode("latin-1", "replace"))
    line = re.compile(rb"(?:\A|%b)--%b(?:(--)|[^\S\r\n]*%b)" % (_LINE, mark, _LINE))
    start: int | None = None
    for found in line.finditer(body):
        if start is not None:
            yield _part(body[start : found.start()])
        if found[1]:
            return
        start = found.end()
    raise ValueError("no last boundary")


def _part(part: bytes) -> tuple[bytes, Headers]:
    """Return the content and the headers of a part.

    Raises:
        ValueError: It says not what it is, or says too much.
    """
    blank = _BLANK.search(part)
    if blank is None:
        if not part.endswith((b"\n", b"\r")):  # the line end before the boundary is cut off already
            raise ValueError("no blank line")
        head, content = part, b""
    else:
        head, content = part[: blank.start()], part[blank.end() :]
    if len(head) > _LONGEST_HEAD:
        raise ValueError("the head of a part is too long")
    headers = Headers()
    for line in _CONTINUED.sub(b" ", head).splitlines():
        name, _, value = line.decode("utf-8").partition(":")
        if name.strip():
            headers.add(name.strip(), value.strip())
    if "Content-Disposition" not in headers:
        raise ValueError("no Content-Disposition")
    return content, headers
