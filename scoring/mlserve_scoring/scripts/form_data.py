"""Headers, query and form values, and uploaded files, as Flask shows them to ``@rawhttp`` scripts."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from os import PathLike

    from _typeshed import SupportsWrite


class Headers(MutableMapping[str, str]):
    """Header names in any case; iteration gives them as ``Title-Case``. A name may have several values."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self.add(name, value)

    def __getitem__(self, name: str) -> str:
        """Return the first value."""
        return self._values[name.title()][0]

    def __setitem__(self, name: str, value: object) -> None:
        """Set the one value."""
        self._values[name.title()] = [str(value)]

    def __delitem__(self, name: str) -> None:
        """Remove all values."""
        del self._values[name.title()]

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        """Return whether a name has a value."""
        return isinstance(name, str) and name.title() in self._values

    def add(self, name: str, value: object) -> None:
        """Add a value beside those there are."""
        self._values.setdefault(name.title(), []).append(str(value))

    add_header = add

    def getlist(self, name: str) -> list[str]:
        """Return all values of a name."""
        return list(self._values.get(name.title(), ()))

    def pairs(self) -> list[tuple[str, str]]:
        """Return every name with every value."""
        return [(name, value) for name, values in self._values.items() for value in values]


class Values(dict[str, str]):
    """Parameters of a query or form; ``getlist`` gives all values of one name."""

    def __init__(self, lists: Mapping[str, list[str]]) -> None:
        super().__init__({name: values[0] for name, values in lists.items()})
        self._lists = lists

    def getlist(self, name: str) -> list[str]:
        """Return all values of a name."""
        return list(self._lists.get(name, ()))

    def to_dict(self, flat: bool = True) -> dict[str, str] | dict[str, list[str]]:  # noqa: FBT001, FBT002  # Flask's
        """Return the first value of each name, or all of them."""
        return dict(self) if flat else {name: list(values) for name, values in self._lists.items()}


class UploadedFile(io.BytesIO):
    """A file of a multipart form: itself a binary stream."""

    def __init__(
        self,
        content: bytes,
        name: str,
        filename: str,
        content_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(content)
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self.mimetype = content_type.partition(";")[0].strip().lower()
        self.content_length = len(content)
        self.headers = Headers((headers or {}).items())

    @property
    def stream(self) -> UploadedFile:
        """Return the stream of the content."""
        return self

    def save(self, destination: str | PathLike[str] | SupportsWrite[bytes]) -> None:
        """Write the content to a path or a binary stream."""
        if isinstance(destination, (str, os.PathLike)):
            with open(destination, "wb") as file:  # noqa: PTH123  # v1 scripts pass any path-like
                shutil.copyfileobj(self, file)
        else:
            shutil.copyfileobj(self, destination)


class Files(dict[str, UploadedFile]):
    """Files of a form; ``getlist`` gives all files of one name."""

    def __init__(self, lists: Mapping[str, list[UploadedFile]]) -> None:
        super().__init__({name: files[0] for name, files in lists.items()})
        self._lists = lists

    def getlist(self, name: str) -> list[UploadedFile]:
        """Return all files of a name."""
        return list(self._lists.get(name, ()))


def read_multipart(body: bytes, content_type: str) -> tuple[Values, Files]:
    """Return the fields and the files of a ``multipart/form-data`` body."""
    boundary = parameters_of(content_type).get("boundary", "")
    fields: dict[str, list[str]] = {}
    files: dict[str, list[UploadedFile]] = {}
    for content, headers in _parts(body, boundary):
        given = parameters_of(headers.get("content-disposition", ""))
        name = given.get("name", "")
        if "filename" in given:
            kind = headers.get("content-type", "application/octet-stream")
            files.setdefault(name, []).append(UploadedFile(content, name, given["filename"], kind, headers))
        else:
            fields.setdefault(name, []).append(content.decode("utf-8", "replace"))
    return Values(fields), Files(files)


def parameters_of(value: str) -> dict[str, str]:
    """Return the parameters of a header such as ``form-data; name="image"; filename="a;b.png"``."""
    found: dict[str, str] = {}
    extended: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        # Browsers escape quotes alone; a backslash before anything else is part of a Windows path.
        text = quoted.replace('\\"', '"') if quoted else plain.strip()
        key = name.lower()
        if key.endswith("*"):
            charset, _, rest = text.partition("'")
            try:
                extended[key[:-1]] = unquote(rest.partition("'")[2], encoding=charset or "utf-8")
            except LookupError:
                continue
        else:
            found.setdefault(key, text)
    return {**found, **extended}


_PARAMETER: Final = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))')


def _parts(body: bytes, boundary: str) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield the content and the headers of each part."""
    if not boundary:
        return
    line = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary.encode("latin-1", "replace")) + rb"(--)?[ \t]*(?:\r\n|\Z)")
    start: int | None = None
    for found in line.finditer(body):
        if start is not None:
            head, separator, content = (b"\r\n" + body[start : found.start()]).partition(b"\r\n\r\n")
            if separator:
                pairs = [text.partition(":") for text in head.decode("utf-8", "replace").split("\r\n")]
                yield content, {name.strip().lower(): value.strip() for name, _, value in pairs if name}
        if found[1]:
            return
        start = found.end()
