"""Keeps contents as objects named by their hash, in an object store; what is uploaded is hashed on its way."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import uuid
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import obstore

from pulumi_mlserve.clients.models.file_bytes import SourceChangedError, opened, stamp_of
from pulumi_mlserve.clients.models.folder_blobs import Source
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PART = 8 << 20
_MOST_PARTS = 9_000  # S3 takes 10,000, Azure 50,000
_THREADS = 16
_PARTS_AT_ONCE = 4


class ObjectBlobs:
    """Contents under ``blobs/sha256/`` of an object store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def path(self, sha256: str) -> None:
        """Return None: nothing of an object store lies in a folder."""

    def missing(self, entries: Iterable[FileEntry]) -> list[FileEntry]:
        """Return the contents that are not here whole, each once."""
        wanted = list({entry.sha256: entry for entry in entries}.values())
        look = Work("looking up contents", 0)
        sizes = look.in_threads(self._size, wanted, _THREADS)
        return [entry for entry, size in zip(wanted, sizes, strict=True) if size != entry.size]

    def put(self, sources: Sequence[Source], work: Work) -> None:
        """Upload files; each appears whole or not at all."""
        small = [source for source in sources if source.entry.size <= _PART]
        work.in_threads(lambda source: self._upload(source, work), small, _THREADS)
        for source in sources:
            if source.entry.size > _PART:
                self._upload(source, work)  # its parts go at once already

    def open(self, entry: FileEntry) -> BinaryIO:
        """Open a content for reading, in parts as they are asked for."""
        self._require_whole(entry)
        return cast(
            "BinaryIO",
            io.BufferedReader(_Parts(self._objects, _key(entry.sha256), entry.size), min(_PART, entry.size + 1)),
        )

    def place(self, entry: FileEntry, target: Path, work: Work, *, link: bool) -> None:
        """Download a content to ``target``, over what is there: read-only if it would be a link in a folder store."""
        temporary = target.with_name(f".{uuid.uuid4().hex}")
        whole = hashlib.sha256()
        try:
            with self.open(entry) as source, temporary.open("xb") as file:
                while block := source.read(_PART):
                    whole.update(block)
                    file.write(block)
                    work.step(len(block))
            if whole.hexdigest() != entry.sha256:
                raise _damaged(self._objects, entry, "other bytes")
            if link:
                temporary.chmod(0o444)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def delete(self, hashes: Iterable[str]) -> None:
        """Delete contents; those that are gone already are no error."""
        for sha256 in hashes:
            self._objects.delete(_key(sha256))

    def stored(self) -> tuple[str, ...]:
        """Return none: a slow upload elsewhere, whose version does not exist yet, would have to begin anew."""
        return ()

    def clear_abandoned(self) -> None:
        """Do nothing: an upload that was cut off is never seen, and the store's own rules clear it."""

    def _size(self, entry: FileEntry) -> int | None:
        with self._objects.errors(f"looking for a content of {entry.path}"):
            try:
                return int(obstore.head(self._objects.backend, _key(entry.sha256))["size"])
            except FileNotFoundError:
                return None

    def _upload(self, source: Source, work: Work) -> None:
        part = max(_PART, -(-source.entry.size // _MOST_PARTS))
        with (
            self._objects.errors(f"uploading {source.entry.path}"),
            contextlib.closing(_read(source, part, work)) as parts,
        ):
            if source.entry.size <= part:
                obstore.put(self._objects.backend, _key(source.entry.sha256), b"".join(parts), use_multipart=False)
            else:
                key = _key(source.entry.sha256)
                obstore.put(self._objects.backend, key, parts, chunk_size=part, max_concurrency=_PARTS_AT_ONCE)

    def _require_whole(self, entry: FileEntry) -> None:
        if (size := self._size(entry)) != entry.size:
            raise _damaged(self._objects, entry, "nothing" if size is None else f"{size} bytes")


class _Parts(io.RawIOBase):
    """Reads an object from where one stands, a part for each request, so that no request lasts long."""

    def __init__(self, objects: Objects, key: str, size: int) -> None:
        self._objects = objects
        self._key = key
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        length = min(len(view), max(0, self._size - self._at))
        if length == 0:
            return 0
        with self._objects.errors(f"reading {self._key}"):
            got = obstore.get_range(self._objects.backend, self._key, start=self._at, length=length)
        view[: len(got)] = memoryview(got)
        self._at += len(got)
        return len(got)


def _read(source: Source, part: int, work: Work) -> Generator[bytes]:
    """Yield a file's parts; raise instead of ending when they were not the content that was promised."""
    whole = hashlib.sha256()
    with opened(str(source.path)) as number, open(number, "rb", closefd=False) as file:
        before = stamp_of(os.fstat(number))
        while block := file.read(part):
            whole.update(block)
            work.step(len(block))
            yield block
        same = stamp_of(os.fstat(number)) == before
    if not same or whole.hexdigest() != source.entry.sha256:
        raise SourceChangedError(
            f"{source.path}: changed since it was hashed; run again when nothing writes to it any more"
        )


def _key(sha256: str) -> str:
    return f"blobs/sha256/{sha256[:2]}/{sha256}"


def _damaged(objects: Objects, entry: FileEntry, got: str) -> OperationError:
    return OperationError(
        f"{objects.label}: the store's content of {entry.path!r} is damaged, got {got} instead of {entry.size} bytes;"
        " register the model again from its files to repair the store"
    )
