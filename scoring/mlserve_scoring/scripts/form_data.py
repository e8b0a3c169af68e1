"""Headers, query and form values, and uploaded files, as Flask shows them to ``@rawhttp`` scripts."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike


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

    def to_dict(self) -> dict[str, str]:
        """Return the first value of each name."""
        return dict(self)


class UploadedFile(io.BytesIO):
    """A file of a multipart form: itself a binary stream."""

    def __init__(self, content: bytes, name: str, filename: str, content_type: str) -> None:
        super().__init__(content)
        self.name = name
        self.filename = filename
        self.content_type = self.mimetype = content_type

    @property
    def stream(self) -> UploadedFile:
        """Return the stream of the content."""
        return self

    def save(self, destination: str | PathLike[str] | io.BufferedIOBase) -> None:
        """Write the content to a path or a binary stream."""
        if isinstance(destination, io.BufferedIOBase):
            shutil.copyfileobj(self, destination)
            return
        with open(destination, "wb") as file:  # noqa: PTH123  # v1 scripts pass any path-like
            shutil.copyfileobj(self, file)


def read_multipart(body: bytes, content_type: str) -> tuple[Values, dict[str, UploadedFile]]:
    """Return the fields and the files of a ``multipart/form-data`` body."""
    boundary = _parameter(content_type, "boundary")
    fields: dict[str, list[str]] = {}
    files: dict[str, UploadedFile] = {}
    if not boundary:
        return Values(fields), files
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))[1:]:
        head, separator, content = part.partition(b"\r\n\r\n")
        if not separator or part.startswith(b"--"):
            continue
        lines = [line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n")]
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        disposition = headers.get("content-disposition", "")
        name, filename = _parameter(disposition, "name"), _parameter(disposition, "filename")
        if filename:
            kind = headers.get("content-type", "application/octet-stream")
            files[name] = UploadedFile(content, name, filename, kind)
        else:
            fields.setdefault(name, []).append(content.decode("utf-8", "replace"))
    return Values(fields), files


def _parameter(value: str, name: str) -> str:
    for part in value.split(";")[1:]:
        key, _, text = part.strip().partition("=")
        if key.strip().lower() == name:
            return text.strip().strip('"')
    return ""
